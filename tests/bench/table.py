"""Tables for people: numbers to the right, words to the left, air in between."""


def number(value):
    """Three digits that count, thousands apart; a dash for nothing."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def elapsed(usec):
    if usec is None:
        return "-"
    if usec < 1000:
        return f"{usec:.0f} us"
    if usec < 1_000_000:
        return f"{number(usec / 1000)} ms"
    return f"{number(usec / 1_000_000)} s"


def kilobytes(value):
    return "-" if value is None else f"{value:,.0f} kB"


def render(head, rows, left=(0,)):
    """Lines; columns whose index is in `left` are flush left."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        cells = (
            f"{cell:<{width}}" if i in left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths))
        )
        return ("  " + "   ".join(cells)).rstrip()

    rule = "  " + "   ".join("-" * width for width in widths)
    return [line(head), rule, *(line(row) for row in rows)]


def row_of_series(name, series, one):
    """A line of a table of servers that are compared with the one of that name."""
    if not series.good:
        return [name, *["-"] * 8]
    rounds = "" if name == one else " ".join(f"{r:.2f}" for r in series.ratios)
    return [
        name,
        number(series.median("rate")),
        "-" if series.ratio is None else f"{series.ratio:.2f}",
        rounds,
        elapsed(series.median("p50")),
        elapsed(series.median("p99")),
        f"{series.errors:,}",
        elapsed(series.median("master")),
        elapsed(series.median("children")),
    ]
