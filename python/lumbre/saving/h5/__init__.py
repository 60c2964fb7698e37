"""HDF5 files, read without trusting them.

The HDF5 library crashes or never returns on some files with a few wrong bits, so a stranger's file never
reaches it. This reads what Keras and h5py write with their defaults: superblocks 0 to 3, groups with symbol
tables or links in their headers, data sets that lie in one piece or in chunks, plain or deflated. Everything
else is refused by name: soft and external links, external storage, virtual data sets, references, shared
types, other filters. Each place that the file names is compared with the file's size before it is read, what
is read is counted, and no object is entered from within itself.

Source: The HDF Group, HDF5 File Format Specification, version 3.0.
"""

from lumbre.saving.h5.data import Dataset
from lumbre.saving.h5.group import Group, open_h5
from lumbre.saving.h5.source import Source

__all__ = ["Dataset", "Group", "Source", "open_h5"]
