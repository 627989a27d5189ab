"""What this machine can do, what a folder of photos holds, and what to run next."""
