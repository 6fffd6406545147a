"""Tables of code and the message of the error that the code raises."""


def cases(text: str) -> dict[str, str]:
    """Parse a table into a dict from code to error message.

    Each line of code is followed by its message in one or more indented lines.
    """
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        if line[0] != " ":
            found[code := line] = ""
        else:
            found[code] = f"{found[code]} {line.strip()}".strip()
    return found
