"""Instance classes: memory and processors, which formulas are evaluated over.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
"""

_GIB = 1024**3


def _family(name: str, sizes: dict[str, tuple[int, float]]) -> dict[str, tuple[int, int]]:
    return {f"db.{name}.{size}": (processors, int(gib * _GIB)) for size, (processors, gib) in sizes.items()}


_BURST = {"micro": (2, 1), "small": (2, 2), "medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}
_GENERAL = {"large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32), "4xlarge": (16, 64)}
_MEMORY = {"large": (2, 16), "xlarge": (4, 32), "2xlarge": (8, 64), "4xlarge": (16, 128)}

CLASSES: dict[str, tuple[int, int]] = {
    **_family("t3", _BURST),
    **_family("t4g", _BURST),
    **_family("m5", _GENERAL),
    **_family("m6g", _GENERAL),
    **_family("m6i", _GENERAL),
    **_family("m7g", _GENERAL),
    **_family("r5", _MEMORY),
    **_family("r6g", _MEMORY),
    **_family("r6i", _MEMORY),
    **_family("r7g", _MEMORY),
}
