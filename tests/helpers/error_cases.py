"""Tables of code and the message of the error that it raises."""


def cases(text: str) -> dict[str, str]:
    """Return the messages by the code that raises them.

    A line of code is followed by its message, indented; a long message goes on in more lines.
    """
    found: dict[str, str] = {}
    for line in text.strip().splitlines():
        if line[0] != " ":
            found[code := line] = ""
        else:
            found[code] = f"{found[code]} {line.strip()}".strip()
    return found
