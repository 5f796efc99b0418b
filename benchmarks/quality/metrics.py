"""The metrics of the scoreboard: names, meanings, and whether higher is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """Meaning and format of a metric."""

    name: str
    meaning: str
    higher: bool = True
    digits: int = 3

    def gain(self, ours: float, theirs: float) -> float:
        """How much better ours is than theirs."""
        return ours - theirs if self.higher else theirs - ours


METRICS = (
    Metric("purity", "share of a spatial gene's 10 nearest neighbors (cosine) in its planted module"),
    Metric("purity, low third", "the same over the third of the spatial genes with the fewest counts"),
    Metric(
        "K-means ARI",
        "K-means on directions of spatial genes, with the planted number of clusters, against the planted modules",
    ),
    Metric(
        "module ARI", "modules of the entry against the planted modules, on spatial genes, including unassigned ones"
    ),
    Metric("all-gene ARI", "the same on all genes; genes without a pattern are one more class"),
    Metric("K-means all-gene ARI", "K-means on directions of all genes, with one cluster more than planted modules"),
    Metric("null unassigned", "share of the genes without a pattern that get no module"),
    Metric("EGAD Hallmark", "AUROC of neighbor voting, mean over the Hallmark sets"),
    Metric("EGAD Reactome", "AUROC of neighbor voting, mean over the Reactome sets"),
    Metric(
        "MRR",
        "reciprocal rank of a gene among all, queried with its embedding from the other half of the counts",
        digits=4,
    ),
    Metric("neighbor agreement", "overlap of a gene's 20 nearest neighbors between the halves, embedded separately"),
    Metric("label stability", "ARI between the modules of the halves"),
    Metric("section overlap", "overlap of a gene's 20 nearest neighbors between two sections of one tissue"),
    Metric("peak-layer purity", "share of a gene's 10 nearest neighbors that peak in its cortical layer"),
    Metric("peak-layer gain", "the same minus the share among random neighbors"),
    Metric(
        "r expression",
        "correlation of a gene's log total with that of its neighbors; high if level, not pattern, is embedded",
        False,
    ),
    Metric("seconds", "wall time of the embedding call", False, 2),
    Metric("CPU seconds", "CPU time of the call, of all threads and processes", False, 2),
    Metric("peak MB", "peak memory of the process, libraries and section included", False, 0),
)

BY_NAME = {metric.name: metric for metric in METRICS}
