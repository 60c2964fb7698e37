"""One module per library: each does every workload it can, in the library's best ordinary form.

A module imports its library and has `make(workload, variant, threads)`, which sets everything up and returns
a function `run(times)`: so many epochs of training, which returns the last loss, or so many calls of the
model. It raises NotImplementedError for what the library does not have.
"""
