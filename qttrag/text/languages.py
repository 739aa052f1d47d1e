"""The languages of questions, answers and passages: the 202 of NLLB-200.

No other module of qttrag names a language. CONTRIBUTING.md says how to add prompts in a language.
Names are from Unicode CLDR where it has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from qttrag.errors import InputError, unknown
from qttrag.types import UNDETERMINED, Lang


@dataclass(frozen=True, slots=True)
class Language:
    """A language. `code`: ISO 639-1 or, if it has none, ISO 639-3, followed by the script if that is not the usual
    one; `native`: its name in the language itself; `nllb`: its FLORES-200 code; `script`: ISO 15924."""

    code: Lang
    nllb: str
    name: str
    native: str
    script: str


_ROWS = (
    ("ace", "ace_Latn", "Acehnese", "Bahsa Acèh"),
    ("ace-Arab", "ace_Arab", "Acehnese (Arabic script)", "بهسا اچيه"),
    ("acm", "acm_Arab", "Mesopotamian Arabic", "العربية العراقية"),
    ("acq", "acq_Arab", "Ta'izzi-Adeni Arabic", "العربية التعزية العدنية"),
    ("aeb", "aeb_Arab", "Tunisian Arabic", "العربية التونسية"),
    ("af", "afr_Latn", "Afrikaans", "Afrikaans"),
    ("ajp", "ajp_Arab", "South Levantine Arabic", "العربية الشامية الجنوبية"),
    ("ak", "aka_Latn", "Akan", "Akan"),
    ("am", "amh_Ethi", "Amharic", "አማርኛ"),
    ("apc", "apc_Arab", "North Levantine Arabic", "العربية الشامية الشمالية"),
    ("ar", "arb_Arab", "Arabic", "العربية"),
    ("ars", "ars_Arab", "Najdi Arabic", "العربية النجدية"),
    ("ary", "ary_Arab", "Moroccan Arabic", "الدارجة المغربية"),
    ("arz", "arz_Arab", "Egyptian Arabic", "العربية المصرية"),
    ("as", "asm_Beng", "Assamese", "অসমীয়া"),
    ("ast", "ast_Latn", "Asturian", "asturianu"),
    ("awa", "awa_Deva", "Awadhi", "अवधी"),
    ("ay", "ayr_Latn", "Aymara", "Aymar aru"),
    ("az", "azj_Latn", "Azerbaijani", "azərbaycanca"),
    ("azb", "azb_Arab", "South Azerbaijani", "تۆرکجه"),
    ("ba", "bak_Cyrl", "Bashkir", "башҡорт теле"),
    ("ban", "ban_Latn", "Balinese", "Basa Bali"),
    ("be", "bel_Cyrl", "Belarusian", "беларуская"),
    ("bem", "bem_Latn", "Bemba", "Ichibemba"),
    ("bg", "bul_Cyrl", "Bulgarian", "български"),
    ("bho", "bho_Deva", "Bhojpuri", "भोजपुरी"),
    ("bjn", "bjn_Latn", "Banjar", "Bahasa Banjar"),
    ("bjn-Arab", "bjn_Arab", "Banjar (Arabic script)", "بهاس بنجر"),
    ("bm", "bam_Latn", "Bambara", "bamanakan"),
    ("bn", "ben_Beng", "Bengali", "বাংলা"),
    ("bo", "bod_Tibt", "Tibetan", "བོད་སྐད"),
    ("bs", "bos_Latn", "Bosnian", "bosanski"),
    ("bug", "bug_Latn", "Buginese", "Basa Ugi"),
    ("ca", "cat_Latn", "Catalan", "català"),
    ("ceb", "ceb_Latn", "Cebuano", "Sinugboanon"),
    ("cjk", "cjk_Latn", "Chokwe", "Chokwe"),
    ("ckb", "ckb_Arab", "Central Kurdish", "کوردیی ناوەندی"),
    ("crh", "crh_Latn", "Crimean Tatar", "qırımtatarca"),
    ("cs", "ces_Latn", "Czech", "čeština"),
    ("cy", "cym_Latn", "Welsh", "Cymraeg"),
    ("da", "dan_Latn", "Danish", "dansk"),
    ("de", "deu_Latn", "German", "Deutsch"),
    ("din", "dik_Latn", "Dinka", "Thuɔŋjäŋ"),
    ("dyu", "dyu_Latn", "Dyula", "Julakan"),
    ("dz", "dzo_Tibt", "Dzongkha", "རྫོང་ཁ"),
    ("ee", "ewe_Latn", "Ewe", "Eʋegbe"),
    ("el", "ell_Grek", "Greek", "Ελληνικά"),
    ("en", "eng_Latn", "English", "English"),
    ("eo", "epo_Latn", "Esperanto", "Esperanto"),
    ("es", "spa_Latn", "Spanish", "español"),
    ("et", "est_Latn", "Estonian", "eesti"),
    ("eu", "eus_Latn", "Basque", "euskara"),
    ("fa", "pes_Arab", "Persian", "فارسی"),
    ("ff", "fuv_Latn", "Fulfulde", "Fulfulde"),
    ("fi", "fin_Latn", "Finnish", "suomi"),
    ("fj", "fij_Latn", "Fijian", "Na vosa vaka-Viti"),
    ("fo", "fao_Latn", "Faroese", "føroyskt"),
    ("fon", "fon_Latn", "Fon", "Fɔ̀ngbè"),
    ("fr", "fra_Latn", "French", "français"),
    ("fur", "fur_Latn", "Friulian", "furlan"),
    ("ga", "gle_Latn", "Irish", "Gaeilge"),
    ("gd", "gla_Latn", "Scottish Gaelic", "Gàidhlig"),
    ("gl", "glg_Latn", "Galician", "galego"),
    ("gn", "grn_Latn", "Guarani", "avañe'ẽ"),
    ("gu", "guj_Gujr", "Gujarati", "ગુજરાતી"),
    ("ha", "hau_Latn", "Hausa", "Hausa"),
    ("he", "heb_Hebr", "Hebrew", "עברית"),
    ("hi", "hin_Deva", "Hindi", "हिन्दी"),
    ("hne", "hne_Deva", "Chhattisgarhi", "छत्तीसगढ़ी"),
    ("hr", "hrv_Latn", "Croatian", "hrvatski"),
    ("ht", "hat_Latn", "Haitian Creole", "Kreyòl Ayisyen"),
    ("hu", "hun_Latn", "Hungarian", "magyar"),
    ("hy", "hye_Armn", "Armenian", "հայերեն"),
    ("id", "ind_Latn", "Indonesian", "Bahasa Indonesia"),
    ("ig", "ibo_Latn", "Igbo", "Igbo"),
    ("ilo", "ilo_Latn", "Ilocano", "Ilokano"),
    ("is", "isl_Latn", "Icelandic", "íslenska"),
    ("it", "ita_Latn", "Italian", "italiano"),
    ("ja", "jpn_Jpan", "Japanese", "日本語"),
    ("jv", "jav_Latn", "Javanese", "Basa Jawa"),
    ("ka", "kat_Geor", "Georgian", "ქართული"),
    ("kab", "kab_Latn", "Kabyle", "Taqbaylit"),
    ("kac", "kac_Latn", "Jingpho", "Jinghpaw"),
    ("kam", "kam_Latn", "Kamba", "Kikamba"),
    ("kbp", "kbp_Latn", "Kabiyè", "Kabɩyɛ"),
    ("kea", "kea_Latn", "Kabuverdianu", "kabuverdianu"),
    ("kg", "kon_Latn", "Kongo", "Kikongo"),
    ("ki", "kik_Latn", "Kikuyu", "Gĩkũyũ"),
    ("kk", "kaz_Cyrl", "Kazakh", "қазақ тілі"),
    ("km", "khm_Khmr", "Khmer", "ភាសាខ្មែរ"),
    ("kmb", "kmb_Latn", "Kimbundu", "Kimbundu"),
    ("kn", "kan_Knda", "Kannada", "ಕನ್ನಡ"),
    ("ko", "kor_Hang", "Korean", "한국어"),
    ("kr", "knc_Latn", "Kanuri", "Kanuri"),
    ("kr-Arab", "knc_Arab", "Kanuri (Arabic script)", "كَنُرِ"),
    ("ks", "kas_Arab", "Kashmiri", "کٲشُر"),
    ("ks-Deva", "kas_Deva", "Kashmiri (Devanagari script)", "कॉशुर"),
    ("ku", "kmr_Latn", "Kurdish", "kurdî"),
    ("ky", "kir_Cyrl", "Kyrgyz", "кыргызча"),
    ("lb", "ltz_Latn", "Luxembourgish", "Lëtzebuergesch"),
    ("lg", "lug_Latn", "Ganda", "Luganda"),
    ("li", "lim_Latn", "Limburgish", "Limburgs"),
    ("lij", "lij_Latn", "Ligurian", "ligure"),
    ("lmo", "lmo_Latn", "Lombard", "lombard"),
    ("ln", "lin_Latn", "Lingala", "lingála"),
    ("lo", "lao_Laoo", "Lao", "ພາສາລາວ"),
    ("lt", "lit_Latn", "Lithuanian", "lietuvių"),
    ("ltg", "ltg_Latn", "Latgalian", "latgalīšu"),
    ("lua", "lua_Latn", "Luba-Kasai", "Tshiluba"),
    ("luo", "luo_Latn", "Luo", "Dholuo"),
    ("lus", "lus_Latn", "Mizo", "Mizo ṭawng"),
    ("lv", "lvs_Latn", "Latvian", "latviešu"),
    ("mag", "mag_Deva", "Magahi", "मगही"),
    ("mai", "mai_Deva", "Maithili", "मैथिली"),
    ("mg", "plt_Latn", "Malagasy", "malagasy"),
    ("mi", "mri_Latn", "Māori", "te reo Māori"),
    ("min", "min_Latn", "Minangkabau", "Baso Minangkabau"),
    ("mk", "mkd_Cyrl", "Macedonian", "македонски"),
    ("ml", "mal_Mlym", "Malayalam", "മലയാളം"),
    ("mn", "khk_Cyrl", "Mongolian", "монгол хэл"),
    ("mni", "mni_Beng", "Manipuri", "মৈতৈলোন্"),
    ("mos", "mos_Latn", "Mossi", "Mooré"),
    ("mr", "mar_Deva", "Marathi", "मराठी"),
    ("ms", "zsm_Latn", "Malay", "Bahasa Melayu"),
    ("mt", "mlt_Latn", "Maltese", "Malti"),
    ("my", "mya_Mymr", "Burmese", "မြန်မာဘာသာ"),
    ("nb", "nob_Latn", "Norwegian Bokmål", "norsk bokmål"),
    ("ne", "npi_Deva", "Nepali", "नेपाली"),
    ("nl", "nld_Latn", "Dutch", "Nederlands"),
    ("nn", "nno_Latn", "Norwegian Nynorsk", "norsk nynorsk"),
    ("nso", "nso_Latn", "Northern Sotho", "Sesotho sa Leboa"),
    ("nus", "nus_Latn", "Nuer", "Thok Naath"),
    ("ny", "nya_Latn", "Chichewa", "Chichewa"),
    ("oc", "oci_Latn", "Occitan", "occitan"),
    ("om", "gaz_Latn", "Oromo", "Afaan Oromoo"),
    ("or", "ory_Orya", "Odia", "ଓଡ଼ିଆ"),
    ("pa", "pan_Guru", "Punjabi", "ਪੰਜਾਬੀ"),
    ("pag", "pag_Latn", "Pangasinan", "Pangasinan"),
    ("pap", "pap_Latn", "Papiamento", "Papiamentu"),
    ("pl", "pol_Latn", "Polish", "polski"),
    ("prs", "prs_Arab", "Dari", "دری"),
    ("ps", "pbt_Arab", "Pashto", "پښتو"),
    ("pt", "por_Latn", "Portuguese", "português"),
    ("qu", "quy_Latn", "Quechua", "Runasimi"),
    ("rn", "run_Latn", "Rundi", "Ikirundi"),
    ("ro", "ron_Latn", "Romanian", "română"),
    ("ru", "rus_Cyrl", "Russian", "русский"),
    ("rw", "kin_Latn", "Kinyarwanda", "Ikinyarwanda"),
    ("sa", "san_Deva", "Sanskrit", "संस्कृतम्"),
    ("sat", "sat_Beng", "Santali", "ᱥᱟᱱᱛᱟᱲᱤ"),
    ("sc", "srd_Latn", "Sardinian", "sardu"),
    ("scn", "scn_Latn", "Sicilian", "sicilianu"),
    ("sd", "snd_Arab", "Sindhi", "سنڌي"),
    ("sg", "sag_Latn", "Sango", "Sängö"),
    ("shn", "shn_Mymr", "Shan", "လိၵ်ႈတႆး"),
    ("si", "sin_Sinh", "Sinhala", "සිංහල"),
    ("sk", "slk_Latn", "Slovak", "slovenčina"),
    ("sl", "slv_Latn", "Slovenian", "slovenščina"),
    ("sm", "smo_Latn", "Samoan", "Gagana Sāmoa"),
    ("sn", "sna_Latn", "Shona", "chiShona"),
    ("so", "som_Latn", "Somali", "Soomaali"),
    ("sq", "als_Latn", "Albanian", "shqip"),
    ("sr", "srp_Cyrl", "Serbian", "српски"),
    ("ss", "ssw_Latn", "Swati", "siSwati"),
    ("st", "sot_Latn", "Southern Sotho", "Sesotho"),
    ("su", "sun_Latn", "Sundanese", "Basa Sunda"),
    ("sv", "swe_Latn", "Swedish", "svenska"),
    ("sw", "swh_Latn", "Swahili", "Kiswahili"),
    ("szl", "szl_Latn", "Silesian", "ślōnski"),
    ("ta", "tam_Taml", "Tamil", "தமிழ்"),
    ("taq", "taq_Latn", "Tamasheq", "Tamasheq"),
    ("taq-Tfng", "taq_Tfng", "Tamasheq (Tifinagh script)", "ⵜⴰⵎⴰⵌⴰⵆ"),
    ("te", "tel_Telu", "Telugu", "తెలుగు"),
    ("tg", "tgk_Cyrl", "Tajik", "тоҷикӣ"),
    ("th", "tha_Thai", "Thai", "ภาษาไทย"),
    ("ti", "tir_Ethi", "Tigrinya", "ትግርኛ"),
    ("tk", "tuk_Latn", "Turkmen", "türkmençe"),
    ("tl", "tgl_Latn", "Tagalog", "Tagalog"),
    ("tn", "tsn_Latn", "Tswana", "Setswana"),
    ("tpi", "tpi_Latn", "Tok Pisin", "Tok Pisin"),
    ("tr", "tur_Latn", "Turkish", "Türkçe"),
    ("ts", "tso_Latn", "Tsonga", "Xitsonga"),
    ("tt", "tat_Cyrl", "Tatar", "татар теле"),
    ("tum", "tum_Latn", "Tumbuka", "Chitumbuka"),
    ("tw", "twi_Latn", "Twi", "Twi"),
    ("tzm", "tzm_Tfng", "Central Atlas Tamazight", "ⵜⴰⵎⴰⵣⵉⵖⵜ"),
    ("ug", "uig_Arab", "Uyghur", "ئۇيغۇرچە"),
    ("uk", "ukr_Cyrl", "Ukrainian", "українська"),
    ("umb", "umb_Latn", "Umbundu", "Úmbúndú"),
    ("ur", "urd_Arab", "Urdu", "اردو"),
    ("uz", "uzn_Latn", "Uzbek", "o'zbekcha"),
    ("vec", "vec_Latn", "Venetian", "veneto"),
    ("vi", "vie_Latn", "Vietnamese", "Tiếng Việt"),
    ("war", "war_Latn", "Waray", "Winaray"),
    ("wo", "wol_Latn", "Wolof", "Wolof"),
    ("xh", "xho_Latn", "Xhosa", "IsiXhosa"),
    ("yi", "ydd_Hebr", "Yiddish", "ייִדיש"),
    ("yo", "yor_Latn", "Yoruba", "Èdè Yorùbá"),
    ("yue", "yue_Hant", "Cantonese", "粵語"),
    ("zh", "zho_Hans", "Chinese", "中文"),
    ("zh-Hant", "zho_Hant", "Chinese (Traditional)", "繁體中文"),
    ("zu", "zul_Latn", "Zulu", "isiZulu"),
)
_SCRIPTS = {"sat_Beng": "Olck"}  # the code says Bengali, but the training text of NLLB is in Ol Chiki

LANGUAGES: dict[Lang, Language] = {
    Lang(code): Language(Lang(code), nllb, name, native, _SCRIPTS.get(nllb, nllb[4:]))
    for code, nllb, name, native in _ROWS
}
"""All languages by code, in alphabetical order."""

SPACELESS = frozenset(map(Lang, ("bo", "dz", "ja", "km", "lo", "my", "shn", "th", "yue", "zh", "zh-Hant")))
"""Languages written without spaces between words."""

ALIKE: tuple[frozenset[Lang], ...] = tuple(
    frozenset(map(Lang, codes.split()))
    for codes in (
        "nb nn da", "bs hr sr sl", "id ms min jv su bjn", "cs sk", "gl pt", "ast es", "ca oc", "be uk ru", "bg mk",
        "az tr tk", "zh yue", "hi mr ne mai bho awa mag hne", "fa prs tg", "af nl li", "ltg lv", "fo is", "xh zu ss",
        "st tn nso", "rn rw", "lb de", "ar arz acm acq aeb ajp apc ars ary", "it scn vec lmo lij fur sc", "ckb ku",
    )
)  # fmt: skip
"""Groups of languages that detectors do not distinguish reliably in a sentence or two."""

ALSO_WRITTEN_IN: dict[Lang, frozenset[str]] = {
    Lang(code): frozenset(scripts.split())
    for code, scripts in {
        "az": "Cyrl", "bs": "Cyrl", "crh": "Cyrl", "kk": "Latn Arab", "sr": "Latn", "tg": "Latn", "tk": "Cyrl",
        "tt": "Latn", "tzm": "Latn", "ug": "Cyrl Latn", "uz": "Cyrl", "sat": "Beng Deva", "ms": "Arab", "ha": "Arab",
        "yue": "Hans", "ky": "Latn",
    }.items()
}  # fmt: skip
"""Other scripts (ISO 15924) in which a language of the table is written; its row stands for it in any of them."""

_ALIASES = {
    "no": "nb", "nor": "nb", "fil": "tl", "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "mol": "ro",
    "sh": "sr", "hbs": "sr", "scc": "sr", "scr": "hr", "cmn": "zh", "zho": "zh", "chi": "zh", "ara": "ar", "fas": "fa",
    "per": "fa", "msa": "ms", "swa": "sw", "sqi": "sq", "uzb": "uz", "mon": "mn", "nep": "ne", "kur": "ku", "aze": "az",
    "mlg": "mg", "pus": "ps", "yid": "yi", "orm": "om", "ori": "or", "que": "qu", "aym": "ay", "lav": "lv", "ful": "ff",
    "kau": "kr", "ger": "de", "fre": "fr", "dut": "nl", "gre": "el", "cze": "cs", "rum": "ro", "ice": "is", "baq": "eu",
    "geo": "ka", "arm": "hy", "mac": "mk", "may": "ms", "bur": "my", "wel": "cy", "tib": "bo", "slo": "sk",
    "mao": "mi", "alb": "sq", "ekk": "et", "gug": "gn", "kng": "kg", "quz": "qu", "swc": "sw", "cnr": "sr",
}  # fmt: skip
_BY_REGION = {
    "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "fa-af": "prs", "az-ir": "azb", "ku-iq": "ckb",
}  # fmt: skip
_BY_SCRIPT = {"az-arab": "azb", "ku-arab": "ckb", "ko-kore": "ko", "ja-hira": "ja", "ja-kana": "ja", "zh-hani": "zh",
              "yue-hani": "yue"}  # fmt: skip
_WITH_EXTENDED = frozenset(("ar", "ms", "sw", "uz", "zh"))  # "zh-yue" is Cantonese
_TAG = re.compile(
    r"(?P<primary>[a-z]{2,3})(?:-(?P<extended>[a-z]{3}))?(?:-(?P<script>[a-z]{4}))?(?:-(?P<region>[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*(?:-[a-z\d](?:-[a-z\d]{1,8})+)*"
)
"""A tag of BCP 47 in lower case: language, extended language, script, region; variants and extensions are ignored."""


def _spellings() -> dict[str, Lang]:
    """Return the code of every accepted spelling in lower case. Bare codes take precedence."""
    spellings = {alias: Lang(code) for alias, code in _ALIASES.items()}
    for row in LANGUAGES.values():
        spellings.setdefault(row.nllb[:3], row.code)
    for row in LANGUAGES.values():
        spellings |= {row.nllb.lower(): row.code, row.name.lower(): row.code, row.native.lower(): row.code}
    return spellings | {code.lower(): code for code in LANGUAGES}


_SPELLINGS = _spellings()


def display_name(code: Lang) -> str:
    """Return the English name of a language with its code, "Thai (th)"; a code alone that the table lacks."""
    row = LANGUAGES.get(code)
    return f"{row.name} ({code})" if row else f"'{code}'"


def variants(code: Lang) -> frozenset[Lang]:
    """Return the codes of a language in all its scripts: "zh" and "zh-Hant" for either of them."""
    bare = code.split("-")[0]
    return frozenset((code, *(other for other in LANGUAGES if other.split("-")[0] == bare)))


def language(value: str) -> Language:
    """Return the language that `value` means: a code ("ko", "kor"), NLLB's ("kor_Hang"), a name ("Korean", "suomi"),
    or a tag of BCP 47 ("ko-KR", "zh-Hant-TW"), with hyphens or underscores, in any case.

    The script chooses the row ("ace-Arab-ID" is "ace-Arab"). A region does, too, where it stands for a script or a
    language ("zh-TW" is "zh-Hant"); otherwise it is ignored ("pt-BR" is "pt"), as are variants and the encoding of a
    POSIX locale ("ko_KR.UTF-8").

    Raises:
        InputError: no language has that code or name, or the language is not in the table in that script."""
    spelling = value.strip().lower()
    code = _SPELLINGS.get(spelling) or _code_of_tag(re.split("[.@]", spelling)[0].replace("_", "-"))
    if code is not None:
        return LANGUAGES[code]
    known = [*LANGUAGES, *(row.name for row in LANGUAGES.values())]
    text, hint = unknown("language", value, known), _suggestion(spelling)
    raise InputError(f"{text}; {hint or '`qttrag languages` lists them'}", public=f"{text}; {hint}" if hint else text)


def language_or_undetermined(value: str) -> Lang:
    """Return the code of the language that `value` means, or "und" for "und" and "mul", the tags for no one language.

    Raises:
        InputError: as `language`."""
    return UNDETERMINED if value.strip().lower() in {"und", "mul"} else language(value).code


def _code_of_tag(tag: str) -> Lang | None:
    """Return the code of a tag of BCP 47 in lower case; None: the table lacks the language, or that script of it."""
    parts = _TAG.fullmatch(tag)
    if parts is None:
        return _SPELLINGS.get(tag)
    if parts["extended"] and parts["primary"] not in _WITH_EXTENDED:
        return None
    base = _SPELLINGS.get(parts["extended"] or parts["primary"])
    script, region = parts["script"], parts["region"]
    if base is None or script is None:
        by_region = _BY_REGION.get(f"{base}-{region}".lower())
        return Lang(by_region) if by_region else base
    bare = base.split("-")[0]
    for code in (Lang(f"{bare}-{script.title()}"), Lang(_BY_SCRIPT.get(f"{bare}-{script}", bare))):
        row = LANGUAGES.get(code)
        if row and (f"{bare}-{script}" in _BY_SCRIPT or script.title() in {row.script, row.nllb[4:], *_also(code)}):
            return code
    return None


def _also(code: Lang) -> frozenset[str]:
    return ALSO_WRITTEN_IN.get(code, frozenset())


def _suggestion(spelling: str) -> str:
    primary = re.split("[-_]", spelling)[0]
    bare = _SPELLINGS.get(primary) if primary != spelling else None
    rows = [row for row in LANGUAGES.values() if bare and row.code.split("-")[0] == bare.split("-")[0]]
    codes = " or ".join(f"'{row.code}' ({row.script})" for row in rows)
    return f"use {codes} for {rows[0].name}" if rows else ""
