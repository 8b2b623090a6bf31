"""The structs of _native.py are those of aftertouch.h: size, and each field's place and width, by the C compiler; and so are its functions."""
import ctypes
import re
import subprocess

from aftertouch import _native

from conftest import ROOT


def test_structs(tmp_path):
    lines, ours = [], []
    for name, struct in _native.STRUCTS.items():
        lines.append(f'printf("%zu\\n", sizeof(struct {name}));')
        ours.append(ctypes.sizeof(struct))
        for field, *_ in struct._fields_:
            lines.append(f'printf("%zu %zu\\n", offsetof(struct {name}, {field}), sizeof(((struct {name} *)0)->{field}));')
            place = getattr(struct, field)
            ours.append((place.offset, place.size))
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text('#include <stdio.h>\n#include "aftertouch.h"\nint main(void)\n{\n' + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run(["cc", f"-I{ROOT / 'client'}", str(source), "-o", str(program)], check=True)
    theirs = subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()
    assert [" ".join(map(str, x)) if isinstance(x, tuple) else str(x) for x in ours] == theirs


def test_functions_and_codes():
    header = re.sub(r"/\*.*?\*/", "", (ROOT / "client/aftertouch.h").read_text(), flags=re.S)
    declared = set(re.findall(r"\b(aft_client_\w+)\s*\(", header))
    assert set(_native.FUNCTIONS) == declared
    codes = {int(n) for n in re.findall(r"AFT_CLIENT_\w+ = (\d+)", header)}
    assert codes == {0, 7, *_native.BY_CODE}
