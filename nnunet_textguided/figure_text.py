"""Names in Matplotlib's figures."""


def literal(text: str) -> str:
    """Return text that Matplotlib prints as it is: a dollar sign starts no formula.

    Args:
        text: What to show, such as a label.
    """
    return text.replace("$", r"\$")
