"""How many operations of torch something takes: on a GPU each is started by itself, whatever its size."""

from torch.utils._python_dispatch import TorchDispatchMode


def operations(work):
    """Those of one call that compute; views and memory that is only set aside start nothing."""
    with _Counting() as counting:
        work()
    return counting.count


class _Counting(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.count += not starts_nothing(operation)
        return operation(*args, **(kwargs or {}))


def starts_nothing(operation):
    """It only sets memory aside, or returns memory of an argument that it does not write to."""
    alias = [returned.alias_info for returned in operation._schema.returns]
    view = bool(alias) and all(info is not None and not info.is_write for info in alias)
    return view or "empty" in operation._schema.name
