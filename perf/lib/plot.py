"""Line charts as SVG, without any library."""

import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 220, 70, 20, 30, 36
COLOURS = ("#1f6fb4", "#d9541e", "#4c8f3a", "#8d4fa8")


def nice_step(span):
    """A round step that cuts the span into at most six parts."""
    if span <= 0:
        return 1
    power = 10 ** math.floor(math.log10(span / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= span / 6)


def ticks(high):
    step = nice_step(high)
    return [step * i for i in range(int(high / step + 1e-9) + 1)]


def number(value):
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.2g}"


def escape(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def panel(title, series, top):
    """series: {name: [(x, y), ...]}; a name that ends in '~' is dashed."""
    points = [point for line in series.values() for point in line]
    high_x = max((x for x, _ in points), default=1) or 1
    high_y = max((y for _, y in points), default=1) * 1.05 or 1
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x, y):
        return f"{LEFT + width * x / high_x:.1f},{top + TOP + height * (1 - y / high_y):.1f}"

    parts = [f'<text x="{LEFT}" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    for tick in ticks(high_y):
        x, y = at(0, tick).split(",")
        parts.append(f'<line x1="{x}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in ticks(high_x):
        x, y = at(tick, 0).split(",")
        parts.append(f'<text x="{x}" y="{float(y) + 16:.1f}" text-anchor="middle">{number(tick)} s</text>')
    for index, (name, line) in enumerate(series.items()):
        colour = COLOURS[index % len(COLOURS)]
        dash = ' stroke-dasharray="5,4"' if name.endswith("~") else ""
        path = " ".join(at(x, y) for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')
        parts.append(f'<text x="{LEFT + 220 + 150 * index}" y="{top + 18}" fill="{colour}">{escape(name.rstrip("~"))}</text>')
    return "".join(parts)


def svg(panels):
    """panels: [(title, series)], one below the other."""
    body = "".join(panel(title, series, HEIGHT * index) for index, (title, series) in enumerate(panels))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT * len(panels)}" '
            f'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n')


def of_first_sync(samples, objects, bound_s):
    """samples: [(t, synced, rss, engine cpu seconds, world cpu seconds)]."""
    synced = {"synced": [(s[0], s[1]) for s in samples]}
    if bound_s:
        synced["the quota's bound~"] = [(0, 0), (bound_s, objects)]
    load = {name: [((a[0] + b[0]) / 2, 100 * (b[i] - a[i]) / (b[0] - a[0])) for a, b in zip(samples, samples[1:]) if b[0] > a[0]]
            for name, i in (("engine", 3), ("world", 4))}
    return svg([("SecretSyncs", synced), ("CPU, % of one core", load), ("engine, MiB", {"memory": [(s[0], s[2]) for s in samples]})])
