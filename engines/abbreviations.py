"""Words that a full stop follows without ending a sentence, in English, German, Spanish, French and Italian.

One table for all languages: an agent's text mixes them, and the few words that mean something else next door
("art", "sat", "no") are told apart by case or by what follows. Words that are only ever followed by lower
case ("bzw.") need no entry: lower case never starts a sentence here.

Source: Kiss and Strunk, "Unsupervised Multilingual Sentence Boundary Detection" (Punkt, 2006), for the idea
that abbreviations, initials, ordinals and frequent sentence starters are the four things to know; CLDR
segmentation suppressions (en, de, es, fr, it) for most of the words.
"""

from enum import Enum


class Abbreviation(Enum):
    """What a full stop behind a word may mean besides the end of a sentence."""

    OPENS = "opens"  # something belongs to it: "Dr. Who", "e.g. Paris"; never the end
    COUNTS = "counts"  # only before a number: "No. 5", but "No. Five."
    MAY_END = "may end"  # the next word decides: "Acme Inc. The", "Acme Inc. Chairman"


def words(text: str) -> frozenset[str]:
    """The set of words that a text lists."""
    return frozenset(text.split())


def prefixes(whole: frozenset[str]) -> frozenset[str]:
    """Every beginning of every word, the whole words among them."""
    return frozenset(word[:length] for word in whole for length in range(len(word) + 1))


# Matched in any case.
OPENS = words("""
    mr mrs messrs dr drs prof profs revd capt cmdr sgt cpl supt e.g eg i.e viz vs cf cfr ie aka hrn frl
    dipl z.b d.h u.u v.a s.o s.u m.e i.d.r u.z sog bspw vgl inkl exkl zzgl ggf evtl bzw sra sras srta
    srtas dra dres lic gral p.ej ej excmo ilmo dña mme mmes mlle mlles mgr vve p.ex sig sigg sig.ra
    sig.na dott dott.ssa prof.ssa avv geom rag on.le p.es egr gent.mo spett
""")

# Matched as written: in lower case these are ordinary words, or end sentences.
OPENS_CAPITAL = words("""
    EE M MM Ms Mx Gen Col Maj Lt Adm Rep Rev Hon Gov Sen Pres Brig Pvt Hr Fr Sr Sra Arch Ing Mag Mt Ft
""")

COUNTS = words("""
    no nos nr nrn num núm nº pp par pag pagg pág págs art arts sec secs min op bd abs kap ziff cap caps
    ch ex eq
""")

MAY_END = words("""
    etc inc ltd corp co bros jr esq st ave blvd rd hwy dept univ assn bldg apt approx est vol vols fig
    figs ed eds fl oz lb lbs ft al tel tél ext ca cca usw ecc str mio mrd tsd jh jhd aufl gmbh avda av
    pza ud uds vd vds cía bvd boul env janv févr juil déc aprox máx mín
""")

MAY_END_CAPITAL = words("""
    Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Okt Nov Dec Dez Mon Tue Tues Wed Thu Thur Thurs Fri Sat Sun
    Ene Abr Ago Dic Giu Lug Ott Sra Ste
""")

# Capitalised words that start sentences far oftener than they continue a name or an address.
STARTERS = words("""
    The This That These Those There Then They Their Though Through Thus Today Tomorrow Try To He Her
    Here His How However I If In Into Instead Is It Its A After All Although Also An And Another Any Are
    As At Because Before Both But By Can Could Did Do Does Each Even Every Everyone Finally First For
    From Had Has Have Just Last Later Let Like Many Maybe Meanwhile More Most My Next No Nobody Not
    Nothing Now Of Often Oh On Once One Only Or Other Our Over Perhaps Please Several She Should Since
    So Some Sometimes Still Such Sure Was We Were What When Where Whether Which While Who Why Will With
    Without Would Yes Yesterday Yet You Your Aber Als Am Auch Auf Aus Bei Bitte Da Dabei Daher Damit
    Danach Dann Das Dazu Dem Den Denn Der Deshalb Die Dies Diese Dieser Dieses Doch Du Ein Eine Einen Er
    Es Für Heute Hier Ich Ihr Im Ist Ja Jetzt Mit Nach Nein Nun Nur Oder Sein Seine Seit Sie Sind So Und
    Unser Vielleicht War Warum Was Wenn Wer Wie Wir Wo Zu Zum Ahora Al Allí Así Aunque Como Con Cuando
    De Del Desde Después Donde El Él Ella Ellas Ellos En Entonces Es Esa Ese Eso Esta Este Esto Fue
    Gracias Hay Hoy La Las Lo Los Luego Más Me Mi Muy No Nos Nosotros Nuestra Nuestro Para Pero Por
    Porque Pues Que Qué Quién Se Si Sí Sin Su También Te Todo Todos Tu Tú Un Una Usted Y Ya Yo Alors
    Après Au Aussi Avec Avant Ce Cela Ces Cette Ceux Chez Comme Dans Depuis Des Donc Elle Elles Est Et
    Ici Il Ils Je Le Les Leur Mais Mon Notre Nous On Où Oui Pour Pourquoi Puis Quand Quel Quelle Sa Ses
    Son Sur Tous Tout Très Une Vous Votre Voici Voilà Anche Allora Bene Che Chi Ci Come Così Da Dopo
    Dove E È Fu Gli Ha Ho Ieri Inoltre Io Lei Lui Ma Mentre Nel Nella Noi Non Oggi Ora Ogni Per Perché
    Però Poi Qui Quando Questa Questo Quello Se Sono Tutti Tutto Uno Voi
""")

# What a German ordinal counts: "3. Oktober", "im 19. Jahrhundert".
ORDINAL_NOUNS = words("""
    Januar Jänner Februar März April Mai Juni Juli August September Oktober November Dezember Jan Feb
    Apr Aug Sep Okt Nov Dez Jahrhundert Jahrhunderts Jahrtausend Platz Rang Stock Etage Klasse Runde
    Kapitel Mal Tag Woche Monat Weltkrieg Bezirk Semester Auflage Geburtstag Hochzeitstag Liga Minute
    Spieltag Generation Person Lebensjahr Stunde Advent Stelle Schritt Versuch Teil Akt Band Quartal
""")

# The article in front makes an ordinal of any number. "am", "die" and "das" are left to the noun, because of
# "I am 3. Then".
ORDINAL_ARTICLES = words("der dem den des zum zur vom beim im ihr ihrem ihren sein seinem seinen mein meinem meinen")

STARTER_PREFIXES = prefixes(STARTERS)
ORDINAL_PREFIXES = prefixes(ORDINAL_NOUNS)


def abbreviation(word: str) -> Abbreviation | None:
    """What the dictionary knows of a word in front of a full stop (the full stop left off)."""
    lower = word.lower()
    if lower in OPENS or word in OPENS_CAPITAL:
        return Abbreviation.OPENS
    if lower in COUNTS:
        return Abbreviation.COUNTS
    if lower in MAY_END or word in MAY_END_CAPITAL:
        return Abbreviation.MAY_END
    return None
