"""Name a download in ``Content-Disposition`` (RFC 6266), also where a client chose the name."""

import re
from unicodedata import normalize
from urllib.parse import quote

from flask import abort

#: Names that are refused. They have a separator of folders, a control character, half of a
#: surrogate pair, or a character that changes the direction of writing and so hides the ending.
#: They start or end with a space or a dot, or they are empty.
NO_NAME = re.compile(
    r"[/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\A[\s.]|[\s.]\Z|\A\Z"
)

#: Bytes in the name of a file, on most systems.
LONGEST = 255


def download_name(name: str) -> dict[str, str]:
    """Return the two names of a download: in ASCII, and in the encoding of :rfc:`8187`.

    >>> download_name("vols_é.csv")
    {'filename': 'vols_e.csv', 'filename*': "UTF-8''vols_%C3%A9.csv"}
    >>> download_name("航班.csv")["filename"]
    'download.csv'

    :param name: the name as people read it, with its ending and without a folder.
    :raises werkzeug.exceptions.BadRequest: when a file cannot have this name, or a name that
        Unicode treats as equivalent (:rfc:`6266#section-4.3`).
    """
    compatible = normalize("NFKD", name)  # a fullwidth dot becomes a dot, as on some systems
    if NO_NAME.search(compatible) or len(name.encode()) > LONGEST:
        abort(400, "a file cannot have that name")
    letters = compatible.encode("ascii", "ignore").decode()
    plain = re.sub(r"[^\w .()+-]", "_", letters)  # some clients unquote %2F, and some \"
    stem = "" if plain[:1].strip(" .") else "download"
    return {"filename": stem + plain.strip(), "filename*": f"UTF-8''{quote(name, safe='')}"}
