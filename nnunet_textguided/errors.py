"""The one base class of everything a user can put right."""


class UserError(ValueError):
    """Says what was expected, what came, in which file or case, and what to do about it.

    The command line prints the text without a traceback and exits with status 2.
    """
