"""Seconds and peak memory over the history of the project, by asv: a pair `time_x`, `peakmem_x` for every stage.

    pip install asv
    asv run  --config benchmarks/asv.conf.json HEAD^!             # this commit, in an environment of its own
    asv run  --config benchmarks/asv.conf.json --python=same      # what is installed here
    asv continuous --config benchmarks/asv.conf.json main HEAD    # has this branch become slower?

SPACEX_TRACKED=small makes sections small, to try the benchmarks themselves.
"""
