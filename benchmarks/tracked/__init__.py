"""Seconds and peak memory over the history of the project, by asv: `time_x` and `peakmem_x` for each stage.

    pip install asv
    asv run  --config benchmarks/asv.conf.json HEAD^!             # this commit, in a new environment
    asv run  --config benchmarks/asv.conf.json --python=same      # the installed version
    asv continuous --config benchmarks/asv.conf.json main HEAD    # has this branch become slower?

SPACEX_TRACKED=small uses small sections, to test the benchmarks.
"""
