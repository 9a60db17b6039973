"""Faults on purpose: a bad network, dying processes, full and powerless disks, jumping clocks.

Each module breaks one thing and can mend it again. Nothing here touches a process or a disk that
the caller did not hand over.
"""
