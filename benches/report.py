"""What a bench prints: a table for each workload, and one for the README."""

from __future__ import annotations

from statistics import median

from measure import Outcome

NAMES = {
    "lumbre": "Lumbre",
    "jax scan": "JAX `lax.scan`",
    "jax jit": "JAX `jit`",
    "keras jax": "Keras on JAX",
    "keras torch": "Keras on PyTorch",
    "keras tensorflow": "Keras on TensorFlow",
    "torch eager": "PyTorch",
    "torch compile": "`torch.compile`",
    "sklearn mlp": "scikit-learn",
}


def table(o: Outcome) -> str:
    """The times of a workload's step, or of a script's run."""
    script = o.name == "script"
    unit, scale, digits = ("s a run", 1.0, 2) if script else ("µs a step" if o.floor else "µs a call", 1e6, 1)
    lines = [f"\n{o.name}: {o.title}"]
    if o.floor:
        m = o.machine
        lines.append(
            f"  level {m['level']}, {m['threads']} threads, {m['fma'] / 1e9:.0f} GFLOP/s measured, "
            f"barrier {m['barrier'] * 1e6:.2f} µs, floor {o.floor * 1e6:.1f} µs a step"
        )
    rates = f"{'GFLOP/s':>9}{'of floor':>9}" if o.floor else ""
    start = "" if script else f"{'1st s' if not o.floor else '1st epoch s':>12}{'import s':>9}"
    lines.append(f"  {'':<18}{unit:>11}{'min':>10}{'max':>10}{'ratio':>9}{rates}{start}{'MB':>6}")
    ours = o.results[0].median
    for r in o.results:
        times = "".join(
            f"{scale * t:>{width}.{digits}f}"
            for t, width in ((r.median, 11), (min(r.seconds), 10), (max(r.seconds), 10))
        )
        rates = f"{o.flops / r.median / 1e9:>9.1f}{o.floor / r.median:>9.0%}" if o.floor else ""
        start = "" if script else f"{r.first_s:>12.2f}{r.import_s:>9.2f}"
        lines.append(f"  {r.library:<18}{times}{r.median / ours:>8.2f}×{rates}{start}{r.memory_mb:>6.0f}")
    if (best := o.best_peer) is not None:
        lines.append(f"  {best.median / ours:.2f} times as fast as the best peer, {best.library}")
    return "\n".join(lines)


def markdown(outcomes: list[Outcome]) -> str:
    """All workloads in one table, a library in each column."""
    present = [n for n in NAMES if any(r.library == n for o in outcomes for r in o.results)]
    heads = ["", *(NAMES[n] for n in present), "against the best", "of the floor"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]

    def add(title: str, cells: dict[str, str], ratio: str = "", share: str = "") -> None:
        lines.append("| " + " | ".join([title, *(cells.get(n, "") for n in present), ratio, share]) + " |")

    for o in outcomes:
        unit, scale = ("s", 1.0) if o.name == "script" else ("µs", 1e6)
        ours, best = o.results[0], o.best_peer
        cells = {r.library: rounded(scale * r.median) for r in o.results}
        cells[ours.library] = f"**{cells[ours.library]}**"
        ratio = f"{best.median / ours.median:.1f} ×" if best else ""
        add(f"{o.title}, {unit}", cells, ratio, f"{o.floor / ours.median:.0%}" if o.floor else "")
    imports: dict[str, list[float]] = {}
    for r in (r for o in outcomes for r in o.results if r.import_s):
        imports.setdefault(r.library, []).append(r.import_s)
    if imports:
        add("import, after NumPy, s", {name: rounded(median(s)) for name, s in imports.items()})
    if trained := next((o for o in outcomes if o.floor), None):
        add(f"{trained.name}: first epoch, s", {r.library: rounded(r.first_s) for r in trained.results})
        add(f"{trained.name}: memory, MB", {r.library: rounded(r.memory_mb) for r in trained.results})
    return "\n".join(lines)


def rounded(x: float) -> str:
    """Three significant digits, or two."""
    return f"{x:.2f}" if x < 10 else f"{x:.1f}" if x < 100 else f"{x:,.0f}"
