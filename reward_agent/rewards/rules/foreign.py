"""What people's programs import, and what stands in its place in the language."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from reward_agent.rewards import language
from reward_agent.rewards.rules.context import Context
from reward_agent.rewards.rules.rewrites import call, name_, number, spread, write
from reward_agent.text import parse_python

# Libraries whose words are NumPy's, but for these.
_ARRAYS = frozenset({"torch", "jax", "jaxlib", "tensorflow", "cupy", "autograd", "numpy"})
_WORDS = {
    "clamp": "np.clip(x, low, high)",
    "clamp_min": "np.maximum(x, low)",
    "clamp_max": "np.minimum(x, high)",
    "clip_by_value": "np.clip(x, low, high)",
    "norm": "np.linalg.norm(x, axis=-1)",
    "cat": "np.concatenate([…], axis=-1)",
    "concat": "np.concatenate([…], axis=-1)",
    "tensor": "np.array(…)",
    "as_tensor": "np.array(…)",
    "from_numpy": "the array itself",
    "no_grad": "nothing: delete it",
    "sigmoid": "1.0 / (1.0 + np.exp(-x))",
    "expit": "1.0 / (1.0 + np.exp(-x))",
    "relu": "np.maximum(0.0, x)",
    "softplus": "np.logaddexp(0.0, x)",
    "acos": "np.arccos(x)",
    "asin": "np.arcsin(x)",
    "atan": "np.arctan(x)",
    "atan2": "np.arctan2(y, x)",
    "pow": "np.power(x, n)",
    "mm": "np.sum(a * b, axis=-1)",
    "bmm": "np.sum(a * b, axis=-1)",
    "deepcopy": "x.copy()",
    "select": "np.where(condition, a, b)",
    "cond": "np.where(condition, a, b)",
}
_DELETED = "delete it and what uses it: a reward only computes"
_PLACES: dict[str, str] = {
    name: place
    for names, place in {
        "logging warnings time datetime os sys pathlib json csv pickle matplotlib seaborn wandb "
        "tensorboard tqdm rich loguru pprint IPython argparse threading asyncio queue "
        "multiprocessing subprocess socket requests": _DELETED,
        "random secrets uuid": "delete it: a reward must be deterministic; use the state",
        "dataclasses attr attrs pydantic flax configclass": (
            "delete it, and keep weights in constants or in a dict: SPEED_WEIGHT = 1.5"
        ),
        "enum": "delete it, and keep each value in a constant",
        "abc": "delete it; there are no classes",
        "pandas polars": (
            "delete it, and compute with np.… on arrays: np.mean, np.std, np.sum(x, axis=-1)"
        ),
        "gymnasium gym brax mujoco mujoco_playground dm_env isaaclab isaacgym legged_gym robosuite "
        "metaworld": (
            "delete it, and write what it computes into the file: a reward stands alone, in "
            "def compute_reward(state, action, next_state), and reads the card's fields"
        ),
        "dm_control": (
            "delete it: tolerance(x, bounds=…, margin=…) is there, with the same arguments, and "
            "next_state.FIELD stands for what physics gives"
        ),
        "scipy": (
            "write it with np; of rotations there are quat_to_euler, quat_to_pitch, rotate_vector"
        ),
        "numba": "delete it: whole arrays are fast already",
        "itertools": "write the loops: for a in x: for b in y:",
        "operator": "write the operator itself: a + b, x[1]",
        "statistics": "use np.mean(x, axis=-1), np.std(x, axis=-1)",
        "copy": "use x.copy()",
    }.items()
    for name in names.split()
}
_NAMED = {
    "functools.partial": "write a def of its own: def f(x): return g(x, width=0.4)",
    "functools.reduce": "write np.maximum.reduce([a, b]), np.minimum.reduce or sum([a, b])",
    "functools.lru_cache": "delete it: a reward remembers nothing between calls",
    "functools.cache": "delete it: a reward remembers nothing between calls",
    "functools.wraps": "delete it; there are no decorators",
    "collections.defaultdict": "write d = {} and d[key] = d.get(key, 0.0) + x",
    "collections.OrderedDict": "write a dict, {…}: it keeps its order",
    "collections.Counter": "write a dict: d[key] = d.get(key, 0) + 1",
    "collections.deque": "write init_memory with an array (N, k) for the last k values",
    "collections.namedtuple": "write a dict: {'name': value}",
    "typing.NamedTuple": "write a dict: {'name': value}",
    "typing.TypedDict": "write a dict: {'name': value}",
    "numpy.typing": "delete it, and write np.ndarray where a type stands",
}
# What libraries are called by custom, where a program forgot to import them.
_USUAL_NAMES = {
    "torch": "torch", "jnp": "jax.numpy", "jp": "jax.numpy", "jax": "jax", "tf": "tensorflow",
    "F": "torch.nn.functional", "pd": "pandas", "plt": "matplotlib.pyplot", "gym": "gymnasium",
    "scipy": "scipy", "numpy": "numpy", "random": "random", "time": "time", "mujoco": "mujoco",
}  # fmt: skip
_FREE_WORDS = (
    (language.NUMPY_UFUNCS | language.NUMPY_FUNCTIONS | {"pi", "inf", "nan"})
    - language.BUILTINS
    - language.split_names("e copy size sort take put")
)
_MAX_LINE_CHARS = 320
_FOLDED = {ast.Add: "add", ast.Mult: "multiply", ast.BitAnd: "logical_and", ast.BitOr: "logical_or"}


def list_foreign(context: Context) -> dict[str, str]:
    """Return the names that stand for what is not of the language: imported, or not even that."""
    found = dict(_list_imported(context))
    for name in context.source.find(ast.Name):
        usual = _USUAL_NAMES.get(name.id)
        if name.id in found or (usual is None and name.id not in _FREE_WORDS):
            continue
        if isinstance(name.ctx, ast.Load) and context.scopes.find(name) is None:
            found[name.id] = usual or f"numpy.{name.id}"
    return found


def _list_imported(context: Context) -> Iterator[tuple[str, str]]:
    for node in context.source.find(ast.Import):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            if language.IMPORTS.get(alias.name) != name:
                yield name, alias.name if alias.asname else name
    known = {**language.IMPORTS_FROM, **context.dialect.modules}
    for statement in context.source.find(ast.ImportFrom):
        for alias in statement.names:
            if alias.name not in known.get(statement.module or "", frozenset()):
                yield alias.asname or alias.name, f"{statement.module}.{alias.name}"


def find_root(context: Context, node: ast.expr, foreign: dict[str, str]) -> str | None:
    """Return what an attribute is read from, if that is a library the language does not have."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return foreign.get(node.id) if isinstance(node, ast.Name) else None


def find_replacement(path: str) -> str | None:
    """Return what the language has for ``torch.clamp``; None where nothing stands for it."""
    root, name = path.split(".")[0], path.split(".")[-1]
    if path in _NAMED:
        return _NAMED[path]
    if root in ("functools", "collections", "typing"):
        return None
    if path.startswith(("numpy.typing", "jaxtyping")) or name in ("Tensor", "ndarray", "Array"):
        return "np.ndarray"
    if name in _WORDS and root in (*_ARRAYS, "scipy", "copy"):
        return _WORDS[name]
    if root in _ARRAYS and name in language.NUMPY_NAMES - {"linalg"}:
        return f"np.{name}"
    if root in _ARRAYS and name in language.NUMPY_LINALG and "linalg" in path:
        return f"np.linalg.{name}"
    return None


def rewrite_words(context: Context, node: ast.AST) -> str | None:
    """Return the line that a node stands in, in NumPy's words; None where that is not sure."""
    around = [node, *context.source.ancestors(node)]
    statement = next((item for item in around if isinstance(item, ast.stmt)), None)
    if statement is None or hasattr(statement, "body") or isinstance(statement, ast.Import):
        return None
    if isinstance(statement, ast.ImportFrom):
        return None
    renamer = _Renamer(list_foreign(context))
    made = renamer.visit(parse_python(ast.unparse(statement)))
    line = write(made)
    is_sure = renamer.n_renamed and not renamer.is_lost and len(line) <= _MAX_LINE_CHARS
    return f"write `{line}`" if is_sure else None


class _Renamer(ast.NodeTransformer):
    """Writes NumPy's words for those of another library."""

    def __init__(self, foreign: dict[str, str]) -> None:
        self._foreign = foreign
        self.n_renamed, self.is_lost = 0, False

    def visit_Call(self, node: ast.Call) -> ast.AST:
        path = self._find_path(node.func)
        name = path.split(".")[-1] if path else None
        if path is None and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            is_method = name not in language.METHODS and (
                name in language.NUMPY_UFUNCS | {"norm", "clamp", "unsqueeze"}
            )
            if not is_method or self._is_module(node.func.value):
                return self._rename_keywords(node)
            node.args.insert(0, node.func.value)
        elif path is None:
            return self._rename_keywords(node)
        node = self._rename_keywords(node)  # type: ignore[assignment]
        self.n_renamed += 1
        return self._rename(node, str(name), path or f"torch.{name}")

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        path = self._find_path(node.value)
        if path is not None and find_replacement(path) == "np.ndarray":
            return self._replace(node.value)  # type: ignore[arg-type]
        return self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._replace(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._replace(node)

    def _is_module(self, node: ast.expr) -> bool:
        root = node
        while isinstance(root, ast.Attribute):
            root = root.value
        return isinstance(root, ast.Name) and root.id in ("np", "math")

    def _replace(self, node: ast.Name | ast.Attribute) -> ast.AST:
        path = self._find_path(node)
        if path is None:
            return self.generic_visit(node)
        found = find_replacement(path)
        if found is None or not found.startswith("np.") or "(" in found:
            self.is_lost = True
            return node
        self.n_renamed += 1
        return name_(found)

    def _rename(self, node: ast.Call, name: str, path: str) -> ast.AST:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if name in ("clamp", "clip", "clip_by_value") and node.args:
            low, high = (
                given.get(key, node.args[place] if len(node.args) > place else None)
                for key, place in (("min", 1), ("max", 2))
            )
            if low is not None and high is not None:
                return call("np.clip", node.args[0], low, high)
            if low is not None or high is not None:
                word = "np.maximum" if low is not None else "np.minimum"
                return call(word, node.args[0], low or high)  # type: ignore[arg-type]
        if name in ("sigmoid", "expit") and len(node.args) == 1:
            grown = call("np.exp", ast.UnaryOp(ast.USub(), node.args[0]))
            whole = ast.BinOp(ast.Constant(1.0), ast.Add(), grown)
            return ast.BinOp(ast.Constant(1.0), ast.Div(), whole)
        if name in ("relu", "clamp_min", "clamp_max"):
            word = "np.minimum" if name == "clamp_max" else "np.maximum"
            return call(
                word, *(node.args if len(node.args) > 1 else [ast.Constant(0.0), *node.args])
            )
        if name == "unsqueeze":
            return spread(node.args[0])
        return self._call_numpy(node, name, path)

    def _call_numpy(self, node: ast.Call, name: str, path: str) -> ast.AST:
        word = {"norm": "np.linalg.norm", "cat": "np.concatenate"}.get(name)
        word = word or find_replacement(path)
        if word is None or not word.startswith("np."):
            self.is_lost = True
            return node
        keywords = [k for k in node.keywords if k.arg not in ("device", "p")]
        if name in ("norm", "cat", "concat") and not any(k.arg == "axis" for k in keywords):
            keywords.append(ast.keyword("axis", number(-1)))
        return ast.Call(name_(word.split("(")[0]), node.args, keywords)

    def _rename_keywords(self, node: ast.Call) -> ast.AST:
        words = {"dim": "axis", "keepdim": "keepdims"}
        for keyword in node.keywords:
            if keyword.arg in words:
                keyword.arg = words[keyword.arg]
                self.n_renamed += 1
        if self._find_path(node.func) is None:
            node.func = self.visit(node.func)
        node.args = [self.visit(item) for item in node.args]
        for keyword in node.keywords:
            keyword.value = self.visit(keyword.value)
        return node

    def _find_path(self, node: ast.expr) -> str | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self._foreign:
            return None
        return ".".join([self._foreign[node.id], *parts])


def replace_import(context: Context, node: ast.AST, path: str) -> str:
    """Return the remedy for an import: what to write in the places where it is used."""
    if isinstance(node, ast.ImportFrom) and node.module:
        path = node.module
        names = [alias.name for alias in node.names]
    else:
        names = []
    used = [*_list_used(context, node)]
    shown = [f"{place} for {text}" for text, place in dict(used).items()][:6]
    if path == "numpy":
        return f"write `import numpy as np`, and {', '.join(shown) or 'np.NAME'}"
    if shown:
        return f"delete it, and write {', '.join(shown)}"
    given = [_NAMED[f"{path}.{name}"] for name in names if f"{path}.{name}" in _NAMED]
    if given or path in _NAMED:
        return "; ".join(given) or _NAMED[path]
    root = path.split(".")[0]
    if root in _PLACES:
        return _PLACES[root]
    return language.REMEDIES.get(root, "delete it, and write what it computes with np, in the file")


def _list_used(context: Context, node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what the program reads of an import, with what to write in its place."""
    assert isinstance(node, ast.Import | ast.ImportFrom)
    foreign = list_foreign(context)
    own = {alias.asname or alias.name.split(".")[0] for alias in node.names}
    for name in context.source.find(ast.Name):
        if name.id not in own or name.id not in foreign:
            continue
        top, path = _climb(context, name, foreign[name.id])
        exact = _replace_use(context, top, path)
        place = exact or find_replacement(path)
        if place is not None:
            yield write(_around(context, top) if exact else top), place


def _climb(context: Context, node: ast.expr, path: str) -> tuple[ast.expr, str]:
    """Return the whole dotted name that begins with a name, and what it stands for."""
    parent = context.source.parents.get(node)
    while isinstance(parent, ast.Attribute) and parent.value is node:
        node, path = parent, f"{path}.{parent.attr}"
        parent = context.source.parents.get(node)
    return node, path


def _around(context: Context, node: ast.AST) -> ast.AST:
    parent = context.source.parents[node]
    return parent if isinstance(parent, ast.Call) and parent.func is node else node


def _replace_use(context: Context, node: ast.expr, path: str) -> str | None:
    """Return the rewritten call of ``partial``, ``reduce`` and ``defaultdict``."""
    call = context.source.parents.get(node)
    if not isinstance(call, ast.Call) or call.func is not node:
        return None
    if path == "functools.partial":
        return _write_partial(context, call)
    if path == "functools.reduce" and len(call.args) >= 2:
        return _write_reduce(call)
    return "{}" if path == "collections.defaultdict" else None


def _write_partial(context: Context, call: ast.Call) -> str | None:
    function = call.args[0] if call.args else None
    own = context.find_function(function.id) if isinstance(function, ast.Name) else None
    if own is None or any(keyword.arg is None for keyword in call.keywords):
        return None
    given = {keyword.arg for keyword in call.keywords}
    names = [item.arg for item in own.args.args][len(call.args) - 1 :]
    free = [ast.arg(name) for name in names if name not in given]
    spec = ast.arguments([], free, None, [], [], None, [])
    passed: list[ast.expr] = [ast.Name(item.arg, ast.Load()) for item in free]
    made = ast.Call(ast.Name(own.name, ast.Load()), [*call.args[1:], *passed], call.keywords)
    return f"`{write(ast.Lambda(spec, made))}`"


def _write_reduce(call: ast.Call) -> str | None:
    function, items, *first = call.args
    word = None
    if isinstance(function, ast.Lambda) and isinstance(function.body, ast.BinOp):
        word = _FOLDED.get(type(function.body.op))
    elif isinstance(function, ast.Attribute):  # np.maximum, operator.mul
        word = {"mul": "multiply"}.get(function.attr, function.attr)
    elif isinstance(function, ast.Name):
        word = {"max": "maximum", "min": "minimum", "mul": "multiply"}.get(function.id, function.id)
    if word not in language.NUMPY_UFUNCS:
        return None
    start = f", initial={write(first[0])}" if first else ""
    return f"`np.{word}.reduce({write(items)}{start})`"
