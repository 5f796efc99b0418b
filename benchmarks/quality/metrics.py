"""The metrics of the scoreboard: their names, what they say, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """How to read and to print a metric."""

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
    Metric("K-means ARI", "K-means on directions of spatial genes, at the planted number, against the plant"),
    Metric("module ARI", "the entry's own modules against the plant, on spatial genes, unassigned ones included"),
    Metric("all-gene ARI", "the same on all genes; those without a pattern are a class of their own"),
    Metric("K-means all-gene ARI", "K-means on directions of all genes, at the planted number and one, likewise"),
    Metric("null unassigned", "share of the genes without a pattern that get no module"),
    Metric("EGAD Hallmark", "AUROC of neighbor voting, mean over the Hallmark sets"),
    Metric("EGAD Reactome", "AUROC of neighbor voting, mean over the Reactome sets"),
    Metric(
        "MRR",
        "reciprocal rank of a gene among all, asked with its embedding from the other half of the counts",
        digits=4,
    ),
    Metric("neighbor agreement", "overlap of a gene's 20 nearest neighbors between the halves, embedded apart"),
    Metric("label stability", "ARI between the entry's own modules of the halves"),
    Metric("section overlap", "overlap of a gene's 20 nearest neighbors between two sections of one tissue"),
    Metric("peak-layer purity", "share of a gene's 10 nearest neighbors that peak in its cortical layer"),
    Metric("peak-layer gain", "the same less the share among random neighbors"),
    Metric("r expression", "correlation of a gene's log total with its neighbors'; high: level, not pattern", False),
    Metric("seconds", "wall time of the embedding call", False, 2),
    Metric("CPU seconds", "processor time of the call, of all threads and processes", False, 2),
    Metric("peak MB", "peak memory of the process, libraries and section included", False, 0),
)

BY_NAME = {metric.name: metric for metric in METRICS}
