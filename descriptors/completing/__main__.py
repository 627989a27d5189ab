"""`python -m descriptors.completing`: writes the table of the verbs' options anew."""

from descriptors.cli import VERBS
from descriptors.completing import table

if __name__ == "__main__":
    table.write(table.make({name: verb.module for name, verb in VERBS.items()}))
    print(f"written: {table.FILE}")
