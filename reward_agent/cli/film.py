"""``reward-agent film``: a film of a run, to show around."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from pydantic import Field

from reward_agent.cli.answers import CommandAnswer, answers
from reward_agent.cli.settings import RunName, RunsDir
from reward_agent.types import EpisodeName, FilmFormat, FilmSize, Record

# An animated picture is some ten times as large as an mp4.
_SIZES: dict[str, FilmSize] = {"mp4": "720p", "webp": "360p", "gif": "360p"}


class FilmFile(Record):
    """What ``reward-agent film --json`` prints."""

    file: str
    episode: EpisodeName
    shown: tuple[str, ...] = Field(description="what the film shows, a line each")
    strip: str | None = Field(None, description="with --strip, a picture of its key moments")


@answers("cli.film:FilmFile")
def film_command(
    run: RunName,
    episode: Annotated[EpisodeName, typer.Option(help="Which of those scored.")] = "median",
    candidate: Annotated[
        str | None, typer.Option(help="Whose policy \\[default: what the run ends with].")
    ] = None,
    side_by_side: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Two candidates in one picture.")
    ] = None,
    size: Annotated[
        FilmSize | None, typer.Option(help="Height \\[default: 720p; 360p of webp and gif].")
    ] = None,
    form: Annotated[
        FilmFormat | None,
        typer.Option("--format", help="\\[default: mp4, webp without the extra 'video']."),
    ] = None,
    slow: Annotated[float, typer.Option(min=1, max=50, help="So many times slower.")] = 1.0,
    whole: Annotated[
        bool, typer.Option("--whole", help="Of a long episode all, not only what happens.")
    ] = False,
    words: Annotated[bool, typer.Option(help="Write on it whose it is, and its score.")] = True,
    env: Annotated[
        str | None, typer.Option(help="Folder of the run's environment, if it is your own.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; its ending is the format.")
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip", help="Write its key moments as a picture beside it, too.")
    ] = False,
    runs_dir: RunsDir = None,
) -> CommandAnswer:
    """Draw a film of a run's policy: mp4, animated WebP or GIF."""
    from reward_agent.records.film_jobs import FilmStyle
    from reward_agent.run.film import GET_MP4, choose_format, draw_film

    ending = output.suffix.removeprefix(".") if output else ""
    if form is None and ending in get_args(FilmFormat):
        form = cast(FilmFormat, ending)
    chosen = choose_format(form)
    style = FilmStyle(
        size=size or _SIZES[chosen], formats=(chosen,), slow=slow, is_whole=whole, has_words=words
    )
    drawn = draw_film(
        run,
        style,
        candidates=side_by_side or ((candidate,) if candidate else ()),
        episode=episode,
        env=env,
        output=output,
        has_strip=strip,
        runs_dir=runs_dir,
    )
    lines = [str(path) for path in (drawn.file, drawn.strip) if path]
    if form is None and chosen != "mp4":
        lines.append(f"an mp4, which plays everywhere: {GET_MP4}")
    told = FilmFile(
        file=str(drawn.file.absolute()),
        episode=episode,
        shown=drawn.shown,
        strip=str(drawn.strip.absolute()) if drawn.strip else None,
    )
    return CommandAnswer(told, "\n".join(lines))
