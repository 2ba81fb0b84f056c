"""Where on earth is a country, about?

Latitude and longitude of the middle of each in whole degrees: enough to tell a flight from a
teleport, and no more is needed.
"""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

__all__ = ["PLACES", "kilometres"]

_EARTH_KM = 6_371

_TEXT = """
AD 42 1, AE 24 54, AF 34 66, AL 41 20, AM 40 45, AO -12 17, AR -34 -64, AT 47 14, AU -25 134,
AZ 40 48, BA 44 18, BD 24 90, BE 51 4, BF 12 -2, BG 43 25, BH 26 51, BI -3 30, BJ 9 2, BN 5 115,
BO -17 -65, BR -10 -53, BS 24 -76, BT 27 90, BW -22 24, BY 53 28, BZ 17 -89, CA 56 -106, CD -3 24,
CF 7 21, CG -1 15, CH 47 8, CI 7 -6, CL -35 -71, CM 6 12, CN 35 105, CO 4 -73, CR 10 -84,
CU 22 -79, CV 16 -24, CY 35 33, CZ 50 15, DE 51 10, DJ 12 43, DK 56 10, DO 19 -71, DZ 28 3,
EC -1 -78, EE 59 26, EG 27 30, ER 15 39, ES 40 -4, ET 9 40, FI 64 26, FJ -18 178, FR 46 2,
GA -1 12, GB 54 -2, GE 42 43, GH 8 -1, GM 13 -15, GN 11 -10, GQ 2 10, GR 39 22, GT 15 -90,
GW 12 -15, GY 5 -59, HK 22 114, HN 15 -87, HR 45 16, HT 19 -72, HU 47 19, ID -2 118, IE 53 -8,
IL 31 35, IN 22 79, IQ 33 44, IR 32 54, IS 65 -19, IT 42 13, JM 18 -77, JO 31 36, JP 36 138,
KE 0 38, KG 41 75, KH 12 105, KP 40 127, KR 36 128, KW 29 48, KZ 48 67, LA 18 105, LB 34 36,
LI 47 10, LK 8 81, LR 6 -9, LS -30 28, LT 55 24, LU 50 6, LV 57 25, LY 27 17, MA 32 -6, MC 44 7,
MD 47 29, ME 43 19, MG -19 47, MK 42 22, ML 17 -4, MM 21 96, MN 47 104, MO 22 114, MR 20 -10,
MT 36 14, MU -20 58, MV 3 73, MW -13 34, MX 23 -102, MY 4 102, MZ -18 35, NA -22 17, NE 17 9,
NG 9 8, NI 13 -85, NL 52 5, NO 64 12, NP 28 84, NZ -42 173, OM 21 57, PA 9 -80, PE -10 -75,
PG -6 145, PH 12 122, PK 30 70, PL 52 19, PR 18 -66, PS 32 35, PT 39 -8, PY -23 -58, QA 25 51,
RO 46 25, RS 44 21, RU 60 90, RW -2 30, SA 24 45, SC -5 55, SD 15 30, SE 62 16, SG 1 104,
SI 46 15, SK 49 20, SL 8 -12, SM 44 12, SN 14 -14, SO 5 46, SR 4 -56, SS 8 30, SV 14 -89,
SY 35 39, SZ -26 31, TD 15 19, TG 8 1, TH 15 101, TJ 39 71, TL -9 126, TM 39 59, TN 34 9,
TR 39 35, TT 10 -61, TW 24 121, TZ -6 35, UA 49 31, UG 1 32, US 39 -98, UY -33 -56, UZ 41 64,
VA 42 12, VE 7 -66, VN 16 107, XK 43 21, YE 16 48, ZA -29 25, ZM -13 28, ZW -19 30
"""

#: country → (latitude, longitude) in degrees
PLACES: dict[str, tuple[int, int]] = {
    code: (int(north), int(east))
    for code, north, east in (entry.split() for entry in _TEXT.split(","))
}


def kilometres(one: str, other: str) -> float | None:
    """The great circle between the middles of two countries; None where one is not known."""
    here, there = PLACES.get(one), PLACES.get(other)
    if here is None or there is None:
        return None
    (north, east), (north2, east2) = map(radians, here), map(radians, there)
    half = sin((north2 - north) / 2) ** 2 + cos(north) * cos(north2) * sin((east2 - east) / 2) ** 2
    return 2 * _EARTH_KM * asin(sqrt(half))
