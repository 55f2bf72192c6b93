"""How Vietnamese is read."""

import re
from typing import Final

from engines.reading.languages.table import Table, nouns
from engines.reading.number_words import cardinal
from engines.reading.rules import Rule, before

_MONTH_NAMES: Final = ("một", "hai", "ba", "tư", "năm", "sáu", "bảy", "tám", "chín", "mười", "mười một", "mười hai")

TABLE: Final = Table(
    language="vi",
    decimal_mark=",",
    group_marks=".\u00a0\u202f",
    point="phẩy",
    minus="âm",
    plus="cộng",
    to="đến",
    percent="phần trăm",
    one="một",
    per="phần",
    months=tuple(f"tháng {name}" for name in _MONTH_NAMES),
    units=nouns(
        """
        km: ki lô mét
        m: mét
        cm: xen ti mét
        mm: mi li mét
        kg: ki lô gam
        g: gam
        mg: mi li gam
        t: tấn
        l L: lít
        ml: mi li lít
        km/h: ki lô mét trên giờ
        m/s: mét trên giây
        m²: mét vuông
        m³: mét khối
        km²: ki lô mét vuông
        °C: độ C
        °: độ
        h: giờ
        s: giây
        kWh: ki lô oát giờ
        kW: ki lô oát
        MB: mê ga bai
        GB: gi ga bai
        """,
        "một",
    ),
    currencies=nouns("₫ đ VND VNĐ: đồng\n$ USD: đô la\n€ EUR: ơ rô\n£: bảng Anh\n¥: yên", "một"),
    hundredths=nouns("$ USD € EUR: xu", "một"),
    and_cents="",
    symbols={
        "&": "và",
        "+": "cộng",
        "=": "bằng",
        "%": "phần trăm",
        "×": "nhân",
        "<": "nhỏ hơn",
        ">": "lớn hơn",
        "÷": "chia",
        "−": "trừ",
        "@": "a còng",
        "°": "độ",
        "$": "đô la",
        "€": "ơ rô",
    },
    address_marks={
        "@": "a còng",
        ".": "chấm",
        "-": "gạch ngang",
        "_": "gạch dưới",
        "/": "xuyệt",
        "+": "cộng",
        ":": "hai chấm",
    },
    abbreviations={
        "v.v.": "vân vân",
        "v.v": "vân vân",
        "TP.": "thành phố",
        "Tp.": "thành phố",
        "TP.HCM": "thành phố Hồ Chí Minh",
        "ThS.": "thạc sĩ",
        "TS.": "tiến sĩ",
        "PGS.": "phó giáo sư",
        "GS.": "giáo sư",
    },
    numbered={"Q.": "quận", "P.": "phường"},
)


def date_words(match: re.Match[str], day: int, month: int, in_year: int | None) -> str:
    """ "ngày mười lăm tháng ba năm hai nghìn không trăm hai mươi bốn"."""
    front = "" if re.search(r"[Nn]gày $", before(match)) else "ngày "
    words = f"{front}{cardinal(day, 'vi')} {TABLE.months[month - 1]}"
    return f"{words} năm {cardinal(in_year, 'vi')}" if in_year is not None else words


def time_words(hour: int, minute: int) -> str:
    """ "mười lăm giờ ba mươi"."""
    hours = f"{cardinal(hour, 'vi')} giờ"
    return f"{hours} {cardinal(minute, 'vi')}" if minute else hours


RULES: Final[tuple[Rule, ...]] = ()

TIME_BEHIND: Final = r"(?: giờ\b)?"
