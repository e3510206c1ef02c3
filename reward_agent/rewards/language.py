"""What a reward program may say: the allow-lists, as data.

Everything that is not listed here is refused. The lists hold names only, so that the parent
process can check a program without importing NumPy; the child builds its facade from the same
lists (``rewards/facade.py``), so that what is checked is what can be reached.
"""

from __future__ import annotations

import ast
import re
import textwrap

# --- limits of a program and of what it returns --------------------------------------------------

MAX_SOURCE_CHARS = 20_000
MAX_LINE_CHARS = 2_000
MAX_LINES = 800
MAX_BRACKET_DEPTH = 24
MAX_TREE_DEPTH = 80
MAX_NODES = 5_000
MAX_FUNCTIONS = 48
MAX_INTEGER = 2**63
MAX_TERMS = 32
MAX_MEMORIES = 16
MAX_REWARD = 1e6
MAX_TERM = 1e12

# What a program may call a term; anything but [A-Za-z0-9_] becomes "_" in logs and file names.
TERM_NAME = re.compile(r"[\w .\-]{1,64}")

# --- entry points --------------------------------------------------------------------------------

REWARD_ENTRY = "compute_reward"
MEMORY_ENTRY = "init_memory"
POTENTIAL_ENTRY = "potential"
STARTS_ENTRY = "starts"
METRIC_ENTRY = "score"

REWARD_PARAMETERS = ("state", "action", "next_state")
MEMORY_PARAMETER = "memory"
# What a program that names stages remembers: in which of them an episode is.
STAGE_MEMORY = "stage"
STARTS_PARAMETERS = ("rng", "n")
# A field of every card: 1.0 where the episode terminated with this step, by the card's termination.
ENDED = "terminated"

# --- syntax --------------------------------------------------------------------------------------


def split_names(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


_NODE_NAMES = split_names(
    """
    FunctionDef Return Delete Assign AugAssign AnnAssign For If With Raise Try Assert Import
    ImportFrom Expr Pass Break Continue BoolOp NamedExpr BinOp UnaryOp Lambda IfExp Dict Set
    SetComp ListComp DictComp GeneratorExp Compare Call FormattedValue JoinedStr Constant
    Attribute Subscript Starred Name List Tuple Slice Module arguments arg keyword alias
    withitem comprehension ExceptHandler Load Store Del And Or Add Sub Mult MatMult Div Mod Pow
    LShift RShift BitOr BitXor BitAnd FloorDiv Invert Not UAdd USub Eq NotEq Lt LtE Gt GtE Is
    IsNot In NotIn
    """
)
NODES: frozenset[type[ast.AST]] = frozenset(getattr(ast, name) for name in _NODE_NAMES)

# --- modules -------------------------------------------------------------------------------------

NUMPY_UFUNCS = split_names(
    """
    abs absolute acos acosh add arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
    atan2 atanh bitwise_and bitwise_not bitwise_or bitwise_xor cbrt ceil copysign cos cosh deg2rad
    degrees divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod gcd
    greater greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp less less_equal log
    log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul
    maximum minimum mod multiply negative nextafter not_equal positive pow power rad2deg radians
    reciprocal remainder rint sign signbit sin sinh spacing sqrt square subtract tan tanh
    true_divide trunc
    """
)
NUMPY_TYPES = split_names(
    """
    bool bool_ double float16 float32 float64 int16 int32 int64 int8 int_ intp single uint16 uint32
    uint64 uint8
    """
)
NUMPY_CONSTANTS = split_names("False_ True_ e euler_gamma inf nan newaxis pi")
# Types that may be named, in an annotation or in isinstance, but not called: the constructor of
# ndarray turns bytes into pointers.
NUMPY_NAMED_TYPES = split_names("ndarray generic number floating integer")
NUMPY_FUNCTIONS = split_names(
    """
    all allclose amax amin any append arange argmax argmin argpartition argsort argwhere around
    array array_equal array_split asarray ascontiguousarray atleast_1d atleast_2d average bincount
    broadcast_arrays broadcast_to choose clip column_stack compress concat concatenate convolve copy
    corrcoef correlate count_nonzero cov cross cumprod cumsum delete diag diag_indices diagonal diff
    digitize divmod dot dstack einsum empty empty_like expand_dims extract eye finfo fix flatnonzero
    flip fliplr flipud frexp full full_like geomspace gradient histogram hsplit hstack identity
    iinfo inner insert interp intersect1d isclose isin isneginf isposinf isscalar kron lexsort
    linspace logspace max mean median min modf moveaxis nan_to_num nanargmax nanargmin nancumsum
    nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndim
    nonzero ones ones_like outer pad partition percentile polyfit polyval prod ptp quantile ravel
    repeat reshape roll rollaxis rot90 round searchsorted select setdiff1d shape sinc size sort
    split squeeze stack std sum swapaxes take take_along_axis tensordot tile trace transpose
    trapezoid tri tril tril_indices triu triu_indices union1d unique unravel_index unstack unwrap
    vander var vdot vecdot vsplit vstack where zeros zeros_like
    """
)
NUMPY_LINALG = split_names(
    """
    cholesky cond cross det diagonal eigh eigvalsh inv LinAlgError lstsq matmul matrix_norm
    matrix_power matrix_rank matrix_transpose multi_dot norm outer pinv slogdet solve svd svdvals
    trace vecdot vector_norm
    """
)
NUMPY_SUBMODULES: dict[str, frozenset[str]] = {"linalg": NUMPY_LINALG}
UFUNC_METHODS = split_names("reduce accumulate outer")
NUMPY_NAMES = (
    NUMPY_UFUNCS
    | NUMPY_TYPES
    | NUMPY_CONSTANTS
    | NUMPY_NAMED_TYPES
    | NUMPY_FUNCTIONS
    | {"errstate"}
    | frozenset(NUMPY_SUBMODULES)
)
# factorial, comb and perm make integers of any length: they are left out on purpose.
MATH_NAMES = split_names(
    """
    acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh degrees dist e erf erfc exp
    exp2 expm1 fabs floor fmod fsum hypot inf isclose isfinite isinf isnan log log10 log1p log2 nan
    pi pow radians remainder sin sinh sqrt tan tanh tau trunc
    """
)
TYPING_NAMES = split_names(
    """
    Any Callable Dict Final Iterable List Literal Mapping Optional Sequence Tuple TypeAlias Union
    """
)
MODULE_NAMES: dict[str, frozenset[str]] = {"np": NUMPY_NAMES, "math": MATH_NAMES}
# module -> the only name it may be imported as
IMPORTS = {"numpy": "np", "math": "math", "typing": "typing"}
IMPORTS_FROM: dict[str, frozenset[str]] = {
    "math": MATH_NAMES,
    "typing": TYPING_NAMES,
    "__future__": frozenset({"annotations"}),
}

# The helpers of ``rewards/library.py``; a program may define its own of the same name.
LIBRARY_NAMES = split_names(
    """
    angle_difference next_stage normalize quat_angle quat_conjugate quat_multiply quat_to_euler
    quat_to_pitch quat_to_roll quat_to_yaw rotate_vector tolerance wrap_angle
    """
)

# The metrics of ``evaluation/generic.py``: what a metric may be composed of.
METRIC_NAMES = split_names(
    """
    both face go_far hold_pose jump keep_height lift move_fixture place reach stand_on travel turn
    """
)

# Of ``evaluation/signals.py``: what conditions of a metric say of time.
CONDITION_NAMES = split_names("always eventually in_order until")

# --- builtins and methods ------------------------------------------------------------------------

BUILTIN_TYPES = split_names("bool dict float frozenset int list set slice str tuple")
EXCEPTIONS = split_names(
    """
    ArithmeticError AssertionError Exception FloatingPointError IndexError KeyError LookupError
    NotImplementedError OverflowError RuntimeError TypeError ValueError ZeroDivisionError
    """
)
BUILTIN_FUNCTIONS = split_names(
    """
    abs all any callable divmod enumerate filter isinstance iter len map max min next pow range
    reversed round sorted sum zip
    """
)
BUILTINS = BUILTIN_TYPES | BUILTIN_FUNCTIONS | EXCEPTIONS
# Rules rely on the meaning of these names, so a program may not give them another.
FIXED_NAMES = split_names("np math typing")

METHODS = split_names(
    """
    all any append argmax argmin argsort astype capitalize clear clip copy count cumprod cumsum
    diagonal dot dtype endswith eps extend fill find flatten get index insert is_integer isalpha
    isdigit islower issubset issuperset isupper item items join keys lower lstrip max mean min ndim
    nonzero pop prod ravel remove removeprefix removesuffix repeat replace reshape resolution
    reverse round rstrip searchsorted setdefault shape size smallest_normal sort split splitlines
    squeeze startswith std strip sum swapaxes T take tiny title tolist trace transpose update upper
    values var
    """
)
MUTATING_METHODS = split_names(
    "append extend fill insert pop remove reverse setdefault sort update clear"
)
KEYWORDS = split_names(
    """
    a a_max a_min abs_tol append arr array arrays assume_unique atol aweights axes axis axis1 axis2
    axisa axisb axisc b base bias bins choicelist condition condlist constant_values copy correction
    ddof decimals default default_value deg delta density destination discont dtype dx edge_order
    element end_values endpoint equal_nan fill_value fp full fweights indices indices_or_sections
    inf initial interpolation invert k keepdims key kind kth left lower M max maxsplit method min
    minlength mode N n nan ndigits ndmin neginf newshape num obj object offset optimize ord order
    out p pad_width period posinf prepend q range rcond rel_tol repeats reps retstep return_counts
    return_index return_inverse returned reverse right rowvar rtol sep shape shift side size sorter
    source stable start step stop strict subscripts t test_elements tol trim upper v values weights
    where x x1 x2 xp xs y
    """
)
# Methods of the generator that ``starts`` is given, and their keywords beside those above.
RANDOM_NAMES = split_names("choice normal uniform")
RANDOM_KEYWORDS = split_names("a high loc low scale size")
ERRSTATE_KEYWORDS = split_names("all divide over under invalid")
ERRSTATE_VALUES = split_names("ignore warn")
# Without "empty", which shows what was in memory before, and without functions.
PAD_MODES = split_names(
    "constant edge linear_ramp maximum mean median minimum reflect symmetric wrap"
)
# Attributes that NumPy arrays, strings, functions and their like have beside METHODS. A card's
# field of such a name can be read from `state` and `next_state` only, never from another object.
RESERVED_ATTRIBUTES = split_names(
    """
    accumulate add_note alignment argpartition args as_integer_ratio at base bit_count bit_length
    bits byteorder byteswap capitalize casefold center char choose clear close compress conj
    conjugate ctypes data denominator descr device dtype dump dumps encode epsneg expandtabs fields
    find flags flat format format_map from_bytes fromhex fromkeys getfield gi_code gi_frame
    gi_running gi_suspended gi_yieldfrom hasobject hex identity iexp imag indices isalignedstruct
    isalnum isalpha isascii isbuiltin isdecimal isdigit isdisjoint isidentifier islower isnative
    isnumeric isprintable isspace istitle isupper itemsize kind ljust machar machep maketrans
    mapping maxexp metadata minexp mT n_sims name names nargs nbytes negep newbyteorder nexp nin
    nmant nout ntypes num numerator obj outer partition popitem precision put real reduce reduceat
    removeprefix removesuffix resize resolution resolve_dtypes rfind rindex rjust rpartition rsplit
    send setfield setflags signature smallest_normal smallest_subnormal splitlines start step stop
    str strides subdtype swapcase throw tiny to_bytes to_device tobytes tofile translate type types
    view with_traceback zfill
    """
)

# What to write instead of names that models reach for and the language does not have.
REMEDIES: dict[str, str] = {
    name: remedy
    for names, remedy in {
        "print save savetxt tofile": "delete it; return the value as a term to have it logged",
        "eval": "write the expression itself",
        "exec": "write the code itself",
        "open input": "a reward reads its arguments only",
        "getattr": "write the attribute itself, such as state.NAME",
        "hasattr": "the card says which fields there are: read state.NAME",
        "setattr": "programs may not change objects; keep values in local variables",
        "hash": "use a number of your own; hash() changes from one process to the next",
        "id": "use a number of your own; id() changes from one process to the next",
        "type": "use isinstance(x, float), or drop the test: every field is a float array",
        "super object": "write plain functions; there are no classes",
        "random": "a reward must be deterministic; use a function of the state",
        "load loadtxt genfromtxt fromfile memmap": (
            "a reward reads its arguments only; write constants into the program"
        ),
        "vectorize frompyfunc": "write it on whole arrays; np.where chooses by element",
        "piecewise": "use np.where or np.select",
        "apply_along_axis": "write it on whole arrays with axis=-1",
        "fromfunction": "write it on whole arrays",
        "factorial": "write the number itself",
        "Inf": "use np.inf",
        "NaN": "use np.nan",
        "float_": "use np.float64",
        "trapz": "use np.trapezoid",
        "product": "use np.prod",
        "in1d": "use np.isin",
        "clamp": "use np.clip(x, low, high)",
        "detach cpu": "delete it: fields are NumPy arrays",
        "numpy": "delete it: fields are NumPy arrays; `np` is there already",
        "to": "delete it, or use .astype(np.float64): fields are NumPy arrays",
        "unsqueeze": "use x[:, None]",
        "norm": "use np.linalg.norm(x, axis=-1)",
        "pow": "use x ** 2",
        "exp": "use np.exp(x)",
        "abs": "use np.abs(x)",
        "format format_map": "use an f-string",
        "view resize": "use .reshape(…)",
        "flat": "use .ravel()",
        "base": "use .copy() for an array of your own",
        "data qpos qvel": "read state.NAME; the fields are on the card",
        "torch jax scipy": "write it with NumPy: `np` is there already",
        "jnp": "write np instead of jnp: `np` is there already",
    }.items()
    for name in names.split()
}

# What a prompt lists: all that a usual program needs. The rest is accepted all the same.
_SHOWN_NUMPY = split_names(
    """
    abs all any arange arccos arcsin arctan2 argmax argmin array average broadcast_to ceil clip
    column_stack concatenate convolve cos cosh count_nonzero cross cumprod cumsum diff dot einsum
    exp expand_dims eye flatnonzero floor full full_like heaviside hypot interp isclose isfinite
    isnan linspace log log1p logaddexp logical_and logical_not logical_or max maximum mean median
    min minimum mod nan_to_num nonzero ones ones_like outer percentile power prod ptp repeat reshape
    roll round searchsorted select sign sin sort split sqrt square squeeze stack std sum swapaxes
    take_along_axis tan tanh tile transpose trapezoid unwrap var where zeros zeros_like
    """
)
_SHOWN_MEMBERS = split_names(
    """
    all any append argmax argmin astype clip copy cumsum dtype extend get items keys max mean min
    ndim pop prod ravel reshape shape size std sum T take transpose update values var
    """
)
_SHOWN_BUILTINS = split_names(
    """
    abs all any bool dict enumerate float int isinstance len list map max min range reversed round
    sorted str sum tuple zip
    """
)


def describe_language() -> str:
    """Return what a program may use, as text for a prompt."""
    lines = [
        "A program is plain Python over NumPy arrays: functions, constants, expressions, `if` on "
        "Python scalars, `for` over short ranges, comprehensions, np.where for choices per row.",
        "Not allowed: while, class, yield, global, decorators, print, files, randomness, imports "
        "other than numpy as np, math, typing; writing into an argument; state between calls.",
        f"NumPy: np.{{{', '.join(sorted(_SHOWN_NUMPY))}}}, np.linalg.norm, np.pi, np.inf, "
        "np.newaxis, np.float64, and the like; no np.random, np.vectorize, np.apply_along_axis.",
        f"Members of arrays, lists and dicts: {', '.join(sorted(_SHOWN_MEMBERS))}.",
        f"Builtins: {', '.join(sorted(_SHOWN_BUILTINS))}; math on Python numbers.",
    ]
    return "\n".join(
        wrapped for line in lines for wrapped in textwrap.wrap(line, 100, break_on_hyphens=False)
    )
