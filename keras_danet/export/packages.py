"""The packages of the extra `export`, imported when an export asks for them."""

import importlib


def require(*names):
    """The modules of these names.

    Raises:
        ImportError: one is not installed; the message says how to install it.
    """
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            raise ImportError(
                f"This export needs the package {name.split('.')[0]}, which cannot be "
                "imported. Run `pip install keras-danet[export]`. "
                f"Received: {error}",
                name=name,
            ) from error
    return modules
