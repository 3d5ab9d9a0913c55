"""A kill, EIO and ENOSPC at each call of a life that touches the disk."""
