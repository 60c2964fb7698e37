"""One module per library: each can train every workload, in the library's best ordinary form.

A module has `VARIANTS` (name → what it is) and `make(workload, variant, threads)`, which returns a function
`run(steps)` that trains that many batches and returns the last loss as a float.
"""
