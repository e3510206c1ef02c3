"""The gallery: what a language model designed in the recorded runs that ship with the program."""

from __future__ import annotations

import zipfile
from pathlib import Path

from reward_agent.export.shipped import Shipped, find_shipped, list_shipped, read_shipped

FOLDER = "results/gallery"


def render_gallery() -> str:
    """Return the recorded runs, what was solved first: film, score, what it took, the reward."""
    runs = [(name, read_shipped(name)) for name in list_shipped()]
    ranked = sorted(runs, key=lambda item: (-(item[1].winner.success_rate or 0.0), item[0]))
    return "\n\n".join(_render(*item) for item in ranked)


def write_films(folder: Path) -> None:
    """Write the film of each winner into the site's pages."""
    target = folder / FOLDER
    target.mkdir(parents=True, exist_ok=True)
    for name in list_shipped():
        winner = read_shipped(name).winner
        with zipfile.ZipFile(find_shipped(name)) as archive:
            # Of a program's trainings one was filmed at least, if not the one that is handed over.
            films = [path for path in archive.namelist() if path.endswith(".webp")]
            own = [path for path in films if f"/{winner.candidate}/" in path]
            film = winner.video_file if winner.video_file in own else own[0]
            (target / f"{name}.webp").write_bytes(archive.read(film))


def _render(name: str, shipped: Shipped) -> str:
    run, winner = shipped.run, shipped.winner
    config, usage = run.config, run.usage
    scores = ", ".join(f"{score:.3g}" for score in winner.task_scores)
    is_proposed = run.metric_origin.startswith("proposed")
    metric = "that the model proposed, accepted unseen" if is_proposed else "of the task"
    rows = {
        "robot": f"`{run.card.name}`",
        f"trained again, {run.task.unit}": f"{scores}, one fresh seed each",
        "episodes that succeed": f"{winner.success_rate or 0.0:.0%}, by the metric {metric}",
        "search": f"{config['candidates']} programs × {config['iterations']} rounds, "
        f"{config['steps']:,} env steps each at most; {run.total_timesteps:,} in all",
        "model": f"{usage.n_calls} calls, about {usage.input_tokens:,} tokens in and "
        f"{usage.output_tokens:,} out",
        "open it": f"`reward-agent runs open {name}`",
    }
    head, *body = [f"| {key} | {value} |" for key, value in rows.items()]
    table = "\n".join([head, "|---|---|", *body])
    # A heading names what was asked; two runs may ask the same.
    title = f"{run.task.description.rstrip('.')}" + (
        ", then feedback" if "feedback" in name else ""
    )
    return (
        f"## {title}\n\n![What the winner does]({FOLDER.rpartition('/')[2]}/{name}.webp)\n\n"
        f"{table}\n\n"
        f'<details markdown="1"><summary>The reward</summary>\n\n'
        f"```python\n{shipped.program.strip()}\n```\n\n</details>"
    )
