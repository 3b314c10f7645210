"""Units of measure: exact factors, and what people call them in Korean, English and Japanese.

Traditional units are fixed to the metre and the kilogram by laws of Japan (1891) and Korea (1909): 尺/자 =
10/33 m, 坪/평 = 400/121 m², 貫/관 = 3.75 kg, 升/되 = 2401/1331 l. The others: SI brochure, 9th edition; NIST SP 811.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit.

    Attributes:
        symbol: To show.
        quantity: What it measures; only units of the same quantity can be converted.
        factor: Of the quantity's base unit.
        offset: Base units at zero; temperatures alone have one.
        note: Key of what a person should know of it; "" for nothing.
    """

    symbol: str
    quantity: str
    factor: Fraction
    offset: Fraction = Fraction(0)
    note: str = ""


# quantity -> lines "symbol factor names…"; "_" in a name stands for a space, "!" begins the key of a note.
_TABLE: Final[Mapping[str, str]] = {
    "length": """
m 1 meter metre meters metres 미터 メートル
km 1000 kilometer kilometre kilometers kilometres 킬로미터 킬로 キロメートル キロ
cm 1/100 centimeter centimetre centimeters 센티미터 센티 センチメートル センチ
mm 1/1000 millimeter millimetre millimeters 밀리미터 ミリメートル ミリ
µm 1/1000000 um micrometer micron microns 마이크로미터 マイクロメートル
nm 1/1000000000 nanometer 나노미터 ナノメートル
in 127/5000 inch inches 인치 インチ
ft 381/1250 foot feet 피트 フィート
yd 1143/1250 yard yards 야드 ヤード
mi 201168/125 mile miles 마일 マイル
nmi 1852 nautical_mile nautical_miles 해리 海里
ly 9460730472580800 light_year light-year 광년 光年
자 10/33 尺 shaku 척 ja
치 1/33 寸 sun 촌
間 20/11 ken 칸
町 1200/11 cho
里 43200/11 ri 일본리
리 4320/11 한국리 korean_ri
""",
    "area": """
m² 1 m2 m^2 sqm square_meter square_metre square_meters 제곱미터 평방미터 平方メートル 平米 ㎡
km² 1000000 km2 km^2 square_kilometer 제곱킬로미터 平方キロメートル ㎢
cm² 1/10000 cm2 cm^2 제곱센티미터 平方センチメートル ㎠
ha 10000 hectare hectares 헥타르 ヘクタール
a 100 are 아르 アール
ft² 145161/1562500 ft2 sqft sq_ft square_foot square_feet 제곱피트 평방피트 平方フィート
acre 316160658/78125 acres 에이커 エーカー
mi² 40468564224/15625 mi2 square_mile square_miles 제곱마일 平方マイル
평 400/121 坪 pyeong pyong tsubo 평수
畳 81/50 帖 jo tatami 다다미 조 !tatami
단보 120000/121 反 段 tan
정보 1200000/121 町歩 jeongbo
畝 12000/121 se 무
마지기 80000/121 majigi !majigi
""",
    "volume": """
L 1 l liter litre liters litres 리터 リットル
mL 1/1000 ml milliliter millilitre 밀리리터 시시 cc ミリリットル
dL 1/10 dl deciliter 데시리터 デシリットル
m³ 1000 m3 m^3 cubic_meter 세제곱미터 입방미터 立方メートル
cm³ 1/1000 cm3 세제곱센티미터 立方センチメートル
gal 473176473/125000000 gallon gallons us_gallon 갤런 ガロン !us
qt 473176473/500000000 quart quarts 쿼트 クォート !us
pt 473176473/1000000000 pint pints 파인트 パイント !us
fl_oz 473176473/16000000000 fluid_ounce fluid_ounces floz 액량온스 液量オンス !us
cup 473176473/2000000000 cups 컵 カップ !cup
tbsp 473176473/32000000000 tablespoon 큰술 大さじ !spoon
tsp 157725491/32000000000 teaspoon 작은술 小さじ !spoon
bbl 9936705933/62500000 barrel barrels 배럴 バレル
되 2401/1331 升 doe sho 승
합 2401/13310 合 홉 go
말 24010/1331 斗 mal to 두
섬 240100/1331 石 koku 석
""",
    "mass": """
g 1 gram grams gramme 그램 그람 グラム
kg 1000 kilogram kilograms kilo kilos 킬로그램 キログラム
mg 1/1000 milligram milligrams 밀리그램 ミリグラム
t 1000000 ton tons tonne tonnes metric_ton 톤 トン
lb 45359237/100000 lbs pound pounds 파운드 ポンド
oz 45359237/1600000 ounce ounces 온스 オンス
ct 1/5 carat carats 캐럿 カラット
oz_t 19439673/625000 troy_ounce 트로이온스 トロイオンス
근 600 斤 geun kin !geun
돈 15/4 匁 don momme
냥 75/2 両 nyang
관 3750 貫 gwan kan
""",
    "temperature": """
K 1 kelvin 켈빈 ケルビン
°C 1 c celsius centigrade degc 섭씨 도 摂氏 度 ℃
°F 5/9 f fahrenheit degf 화씨 華氏 ℉
""",
    "speed": """
m/s 1 mps meters_per_second 초속 秒速
km/h 5/18 kmh kph kmph kilometers_per_hour 시속 時速
mph 1397/3125 miles_per_hour mi/h 시속마일
kn 463/900 knot knots kt 노트 ノット
ft/s 381/1250 fps
""",
    "time": """
s 1 sec second seconds 초 秒
min 60 minute minutes 분 分
h 3600 hr hour hours 시간 時間
d 86400 day days 일 日
week 604800 weeks wk 주 주일 週 週間
year 31557600 years yr 년 年 !year
ms 1/1000 millisecond milliseconds 밀리초 ミリ秒
""",
    "data": """
B 1 byte bytes 바이트 バイト
bit 1/8 bits 비트 ビット
kB 1000 kilobyte kilobytes 킬로바이트 キロバイト
MB 1000000 megabyte megabytes 메가바이트 메가 メガバイト
GB 1000000000 gigabyte gigabytes 기가바이트 기가 ギガバイト ギガ
TB 1000000000000 terabyte terabytes 테라바이트 테라 テラバイト テラ
PB 1000000000000000 petabyte petabytes 페타바이트 ペタバイト
KiB 1024 kibibyte
MiB 1048576 mebibyte
GiB 1073741824 gibibyte
TiB 1099511627776 tebibyte
kbit 125 kilobit 킬로비트 キロビット
Mbit 125000 Mb megabit megabits 메가비트 メガビット
Gbit 125000000 Gb gigabit gigabits 기가비트 ギガビット
""",
    "pressure": """
Pa 1 pascal 파스칼 パスカル
hPa 100 hectopascal mbar millibar 헥토파스칼 ヘクトパスカル
kPa 1000 kilopascal 킬로파스칼 キロパスカル
MPa 1000000 megapascal 메가파스칼 メガパスカル
bar 100000 bars 바 バール
atm 101325 atmosphere 기압 気圧
psi 8896443230521/1290320000 프사이
mmHg 26664477483/200000000 수은주밀리미터 水銀柱ミリメートル
torr 20265/152
""",
    "energy": """
J 1 joule joules 줄 ジュール
kJ 1000 kilojoule 킬로줄 キロジュール
cal 523/125 calorie calories 칼로리 カロリー
kcal 4184 kilocalorie kilocalories 킬로칼로리 キロカロリー
Wh 3600 watt_hour 와트시 ワット時
kWh 3600000 kilowatt_hour 킬로와트시 キロワット時
BTU 52752792631/50000000 btu
eV 801088317/5000000000000000000000000000 electronvolt 전자볼트 電子ボルト
""",
    "power": """
W 1 watt watts 와트 ワット
kW 1000 kilowatt kilowatts 킬로와트 キロワット
MW 1000000 megawatt 메가와트 メガワット
PS 588399/800 metric_horsepower 마력 馬力
hp 37284993579113511/50000000000000 horsepower
""",
}
_ZERO: Final = {"°C": Fraction(27315, 100), "°F": Fraction(45967, 180)}


def unit(name: str) -> Unit | None:
    """What is meant by a name; where only the case is wrong, the first unit of that name (`gb` is a gigabyte)."""
    by_name, by_folded = _indexes()
    plain = " ".join(unicodedata.normalize("NFKC", name).split()).replace(" ", "_").strip("._")
    return by_name.get(plain) or by_folded.get(plain.casefold())


def symbols(quantity: str) -> list[str]:
    """Symbols of all units of a quantity."""
    return [unit.symbol for unit, _ in _rows(quantity, _TABLE[quantity])]


@cache
def _indexes() -> tuple[Mapping[str, Unit], Mapping[str, Unit]]:
    by_name: dict[str, Unit] = {}
    by_folded: dict[str, Unit] = {}
    for quantity, text in _TABLE.items():
        for unit, names in _rows(quantity, text):
            for name in names:
                plain = unicodedata.normalize("NFKC", name)
                if by_name.setdefault(plain, unit) != unit:
                    raise ValueError(f"two units are called {plain}")
                by_folded.setdefault(plain.casefold(), unit)
    return by_name, by_folded


def _rows(quantity: str, text: str) -> Iterator[tuple[Unit, list[str]]]:
    for line in text.strip().splitlines():
        symbol, factor, *names = line.split()
        note = names.pop()[1:] if names and names[-1].startswith("!") else ""
        shown = symbol.replace("_", " ")
        yield Unit(shown, quantity, Fraction(factor), _ZERO.get(symbol, Fraction(0)), note), [symbol, *names]
