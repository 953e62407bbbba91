"""MATLAB label files."""


def read_mat(path, *variables):
    """The named variables of the MATLAB file at `path`, structs as objects.

    Raises:
        ImportError: SciPy is not installed.
        ValueError: The file is missing, truncated or lacks a variable; names it.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ImportError(
            f"{path} is a MATLAB file, which SciPy reads. Run `pip install scipy`."
        ) from error
    try:
        content = loadmat(
            path, variable_names=variables, squeeze_me=True, struct_as_record=False
        )
        return [content[name] for name in variables]
    except FileNotFoundError as error:
        raise ValueError(f"There is no file {path}.") from error
    # SciPy raises what its parser stumbles over, of many kinds.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as a MATLAB file with {', '.join(variables)}: "
            f"truncated, damaged or another file. Unpack it again. Received: {error!r}"
        ) from error
