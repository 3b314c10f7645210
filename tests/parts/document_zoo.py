"""Files of every kind that people upload, harmless and hostile, made on the spot."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from pypdf import PdfReader, PdfWriter

KOREAN = "연차는 십오 일이다. 쓰지 않은 연차는 이월한다."
JAPANESE = "会議室は社内サイトで予約する。終わったら窓を閉める。"
ENGLISH = "Dogs are welcome on the ground floor."
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_S = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_P = 'xmlns:p="http://p" xmlns:a="http://a"'


def zipped(files: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def docx(body: str, **more: bytes | str) -> bytes:
    """A document of Word with one heading style."""
    styles = f'<w:styles {_W}><w:style w:styleId="1"><w:name w:val="heading 1"/></w:style></w:styles>'
    document = f"<w:document {_W}><w:body>{body}</w:body></w:document>"
    return zipped({"word/document.xml": document, "word/styles.xml": styles, **more})


def word_text(text: str, style: str = "") -> str:
    """A paragraph of Word."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def word_table(*rows: tuple[str, ...]) -> str:
    """A table of Word."""
    cells = ("".join(f"<w:tc>{word_text(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def xlsx() -> bytes:
    """A sheet with shared, inline and plain cells."""
    return zipped(
        {
            "xl/workbook.xml": f'<workbook {_S}><sheets><sheet name="가격표"/></sheets></workbook>',
            "xl/sharedStrings.xml": f"<sst {_S}><si><t>이름</t></si><si><t>サイズ</t><rPh><t>ヨミ</t></rPh></si></sst>",
            "xl/worksheets/sheet1.xml": f"<worksheet {_S}><sheetData>"
            '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>'
            '<row><c t="inlineStr"><is><t>가습기</t></is></c><c><v>128</v></c></row><row/></sheetData></worksheet>',
        }
    )


def pptx() -> bytes:
    """Two slides, the second numbered 10."""

    def slide(title: str, text: str) -> str:
        return (
            f'<p:sld {_P}><p:sp><p:ph type="title"/><a:p><a:t>{title}</a:t></a:p></p:sp>'
            f"<p:sp><a:p><a:t>{text}</a:t></a:p></p:sp></p:sld>"
        )

    return zipped(
        {
            "ppt/presentation.xml": "<p/>",
            "ppt/slides/slide10.xml": slide("Zweite", ENGLISH),
            "ppt/slides/slide2.xml": slide("첫째", KOREAN),
        }
    )


def pdf(*pages: bytes, font: bytes = b"/Type/Font/Subtype/Type1/BaseFont/Helvetica") -> bytes:
    """A PDF of content streams, uncompressed."""
    return _pdf([b"<</Length %d>>stream\n%s\nendstream" % (len(page), page) for page in pages], font)


def pdf_text(text: str) -> bytes:
    """A content stream that shows ASCII."""
    return b"BT /F1 12 Tf 72 720 Td (" + text.encode("ascii") + b") Tj ET"


def korean_pdf() -> bytes:
    """One of the fonts that every reader knows (ISO 32000, predefined CMaps)."""
    shown = KOREAN.encode("utf-16-be").hex().encode()
    font = (
        b"/Type/Font/Subtype/Type0/BaseFont/HYSMyeongJo-Medium/Encoding/UniKS-UCS2-H/DescendantFonts[<</Type/Font"
        b"/Subtype/CIDFontType0/BaseFont/HYSMyeongJo-Medium/CIDSystemInfo<</Registry(Adobe)/Ordering(Korea1)"
        b"/Supplement 2>>>>]"
    )
    return pdf(b"BT /F1 12 Tf 72 720 Td <" + shown + b"> Tj ET", font=font)


def _pdf(streams: list[bytes], font: bytes) -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(streams)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[" + kids + b"]/Count %d>>" % len(streams),
        b"<<" + font + b">>",
    ]
    for number, stream in enumerate(streams):
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
            % (5 + 2 * number)
        )
        objects.append(stream)
    held, places = io.BytesIO(), []
    held.write(b"%PDF-1.7\n")
    for number, content in enumerate(objects, start=1):
        places.append(held.tell())
        held.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    table = held.tell()
    rows = b"".join(b"%010d 00000 n \n" % place for place in places)
    held.write(b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, rows))
    held.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table))
    return held.getvalue()


def encrypted_pdf(user_password: str) -> bytes:
    """With RC4, which needs no other package."""
    writer = PdfWriter(PdfReader(io.BytesIO(pdf(pdf_text(ENGLISH)))))
    writer.encrypt(user_password, "owner", algorithm="RC4-128")
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def pdf_bomb() -> bytes:
    """A well-formed page whose content grows from 1 MB to 1 GB."""
    packer = zlib.compressobj(9)
    pieces = [packer.compress(b" " * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)]
    packed = pieces[0] + pieces[1] * 1022 + packer.compress(b" " * 2**20) + packer.flush()
    stream = b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(packed), packed)
    return _pdf([stream], b"/Type/Font/Subtype/Type1/BaseFont/Helvetica")


def pdf_loop() -> bytes:
    """A page tree that holds itself."""
    return pdf(pdf_text(ENGLISH)).replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")


def lying_zip() -> bytes:
    """A zip whose directory says that an entry of a megabyte has 100 bytes."""
    honest = bytearray(docx(word_text("x" * 2**20)))
    true_size = struct.pack("<I", len(f"<w:document {_W}><w:body>{word_text('x' * 2**20)}</w:body></w:document>"))
    return bytes(honest).replace(true_size, struct.pack("<I", 100))


def protected_zip() -> bytes:
    """An Office file whose entries say that they are encrypted."""
    content = bytearray(docx(word_text(ENGLISH)))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(mark)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(mark, place + 4)
    return bytes(content)


_ENTITIES = (
    '<!DOCTYPE w:document [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]>"
)
_OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)

READABLE: Mapping[str, tuple[str, Callable[[], bytes], str]] = {
    "text": ("a.txt", lambda: KOREAN.encode(), KOREAN),
    "utf-8 with a mark": ("a.txt", lambda: KOREAN.encode("utf-8-sig"), KOREAN),
    "utf-16": ("a.txt", lambda: JAPANESE.encode("utf-16"), JAPANESE),
    "utf-16 big endian": ("a.txt", lambda: b"\xfe\xff" + JAPANESE.encode("utf-16-be"), JAPANESE),
    "cp949": ("a.txt", lambda: KOREAN.encode("cp949"), KOREAN),
    "cp949 with rare syllables": ("a.txt", lambda: f"{KOREAN} 똠방각하 펲시".encode("cp949"), KOREAN),
    "shift_jis": ("a.txt", lambda: JAPANESE.encode("shift_jis"), JAPANESE),
    "shift_jis katakana": (
        "a.txt",
        lambda: "データベースのバックアップ".encode("shift_jis"),
        "データベースのバックアップ",
    ),
    "no name": ("", lambda: ENGLISH.encode(), ENGLISH),
    "markdown": ("a.md", lambda: f"# Top\n\n## In\n{ENGLISH}\n\n```\n# no\n```\n".encode(), ENGLISH),
    "html": (
        "a.html",
        lambda: f"<title>T</title><p>{KOREAN}<script>alert(1)</script><style>p{{}}</style>".encode(),
        KOREAN,
    ),
    "html that never closes": ("a.html", lambda: ("<div>" * 50_000 + ENGLISH).encode(), ENGLISH),
    "csv": ("a.csv", lambda: "이름;값\n가습기;128".encode(), "가습기 | 128"),
    "json": ("a.json", lambda: json.dumps([{"이름": {"a": [1, "둘"]}}]).encode(), "이름.a: 둘"),
    "json with half a character": ("a.json", lambda: b'["\\ud800 dogs"]', "dogs"),
    "docx": ("a.docx", lambda: docx(word_text("제목", "1") + word_text(KOREAN)), KOREAN),
    "docx table": ("a.docx", lambda: docx(word_table(("a", "b"), ("c", "d"))), "a | b\nc | d"),
    "xlsx": ("a.xlsx", xlsx, "이름 | サイズ\n가습기 | 128"),
    "pptx": ("a.pptx", pptx, KOREAN),
    "pdf": ("a.pdf", lambda: pdf(pdf_text(ENGLISH), pdf_text("Second")), ENGLISH),
    "korean pdf": ("a.pdf", korean_pdf, KOREAN),
    "pdf with an owner's password only": ("a.pdf", lambda: encrypted_pdf(""), ENGLISH),
    "pdf under another name": ("a.txt", lambda: pdf(pdf_text(ENGLISH)), ENGLISH),
    "zip that wants out of its folder": (
        "a.docx",
        lambda: docx(word_text(ENGLISH), **{"../../../../tmp/escaped": "x", "/etc/escaped": "x"}),
        ENGLISH,
    ),
}

UNREADABLE: Mapping[str, tuple[str, Callable[[], bytes], str]] = {
    "0 bytes": ("a.txt", lambda: b"", "no_text"),
    "only spaces": ("a.txt", lambda: b" \n\t" * 99, "no_text"),
    "scanned pdf": ("a.pdf", lambda: pdf(b"q 600 0 0 800 0 0 cm Q"), "no_text"),
    "empty docx": ("a.docx", lambda: docx(""), "no_text"),
    "encrypted pdf": ("a.pdf", lambda: encrypted_pdf("secret"), "encrypted"),
    "encrypted office file": ("a.docx", lambda: _OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
    "zip with a password": ("a.docx", protected_zip, "encrypted"),
    "old doc": ("a.doc", lambda: _OLE, "unsupported_type"),
    "picture": ("a.png", lambda: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "unsupported_type"),
    "program": ("a.txt", lambda: b"\x7fELF\x02\x01\x01\0\0", "unsupported_type"),
    "some zip": ("a.zip", lambda: zipped({"a.txt": "x"}), "unsupported_type"),
    "latin-1": ("a.txt", lambda: "Café à la crème, déjà".encode("latin-1"), "unsupported_type"),
    "random bytes": ("a.txt", lambda: bytes(range(1, 256)) * 20, "unsupported_type"),
    "text called pdf": ("a.pdf", lambda: b"hello", "damaged"),
    "cut pdf": ("a.pdf", lambda: b"%PDF-1.7\n1 0 obj<</Type/Catalog", "damaged"),
    "pdf whose tree is a loop": ("a.pdf", pdf_loop, "damaged"),
    "cut zip": ("a.docx", lambda: docx(word_text(ENGLISH))[:-30], "damaged"),
    "zip that lies": ("a.docx", lying_zip, "damaged"),
    "entities": (
        "a.docx",
        lambda: zipped({"word/document.xml": f"{_ENTITIES}<w:document {_W}>&j;</w:document>"}),
        "damaged",
    ),
    "foreign entity": (
        "a.docx",
        lambda: zipped({"word/document.xml": '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>'}),
        "damaged",
    ),
    "no xml": ("a.docx", lambda: zipped({"word/document.xml": "<w:document"}), "damaged"),
    "deep json": ("a.json", lambda: b"[" * 100_000 + b"]" * 100_000, "damaged"),
    "no json": ("a.json", lambda: b"{", "damaged"),
    "zip bomb": ("a.docx", lambda: docx(word_text(" " * (40 * 2**20))), "too_large"),
    "large zip": ("a.docx", lambda: docx("", **{f"word/media/{n}": bytes(30 * 2**20) for n in range(2)}), "too_large"),
    "many entries": ("a.docx", lambda: docx("", **{f"e{n}": "" for n in range(2001)}), "too_large"),
    "many pages": ("a.pdf", lambda: pdf(*[b""] * 2001), "too_large"),
    "pdf bomb": ("a.pdf", pdf_bomb, "parser_memory"),
}
