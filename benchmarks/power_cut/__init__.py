"""`make power-cut`: how many acknowledged publishes does a power cut cost, by durability setting?

Each server writes to a disk of its own (see tests/faults/disks.py) whose power is cut in the
middle of publishing. Then it starts again on what had reached the disk, and what was acknowledged
is compared with what is there.
"""
