"""Words for parts of the body in several languages, and which joint a bone so called may be.

Words propose, the hierarchy decides: "shoulder" is a clavicle in one rig and the upper arm in the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise

# Notions, and the words for them: English; German, French, Spanish, Italian, Portuguese without accents;
# pinyin; Chinese and Japanese.
_VOCABULARY = {
    "upper": "up upper upr uppr",
    "lower": "low lower lwr lo fore under",
    "arm": "arm arms bras brazo braccio braco 胳膊",
    "upperarm": "shldr humerus bicep biceps oberarm dabi shangbi 上臂 大臂 上腕",
    "forearm": "forearm ulna radius unterarm avantbras antebrazo avambraccio antebraco xiaobi qianbi 前臂 小臂 前腕",
    "elbow": "elbow ellenbogen ellbogen coude codo gomito cotovelo zhou ひじ 肘",
    "shoulder": "shoulder shoulders schulter epaule hombro spalla ombro jian jianbang 肩 肩膀",
    "clavicle": (
        "clavicle clavicule clavicula clavicola clav collar collarbone scapula scap schluesselbein "
        "schlusselbein suogu 锁骨 鎖骨"
    ),
    "wrist": "wrist handgelenk poignet muneca polso pulso shouwan 手首 手腕",
    "hand": "hand fist hands main mano mao shou 手",
    "palm": "palm",
    "wan": "腕",
    "leg": "leg legs bein jambe pierna gamba perna tui 腿",
    "thigh": "thigh femur oberschenkel cuisse muslo coscia coxa datui 大腿 太もも 太腿 もも",
    "shin": (
        "shin calf shank tibia crus unterschenkel mollet espinilla pantorrilla polpaccio canela "
        "panturrilha xiaotui 小腿 すね 脛"
    ),
    "knee": "knee knie genou rodilla ginocchio joelho xi xigai ひざ 膝 膝盖",
    "ankle": "ankle knoechel knochel cheville tobillo caviglia tornozelo jiaohuai jiaowan 足首 脚踝 脚腕 踝",
    "foot": "foot feet fuss pied pie piede pe jiao jiaozhang 脚 足",
    "toe": "toe toes toebase ball zeh zehe zehen orteil orteils jiaozhi jiaojian つま先 爪先 脚趾 脚尖 足先",
    "hip": "hip hanche cadera anca quadril 胯",
    "pelvis": (
        "pelvis hips hipbone becken huefte hufte huften bassin hanches bacino bacia pelvi kuan gupen yao "
        "骨盆 盆骨 腰 臀 下半身 lowertorso"
    ),
    "root": "root cog com center centre centro グルーブ センター body",
    "spine": (
        "spine back spina spinal wirbelsaeule wirbelsaule rueckgrat colonne dos columna espalda colonna "
        "schiena coluna vertebra lowerback abdomen belly stomach waist torso tronc tronco jizhui 脊椎 脊柱 "
        "上半身 uppertorso"
    ),
    "chest": "chest thorax ribcage ribs brust poitrine torse pecho petto peito xiong 胸",
    "neck": "neck hals nacken cou cuello collo pescoco bozi jing 首 颈 頸 脖子",
    "head": "head skull kopf schaedel tete cabeza testa cabeca tou 头 頭",
    # What shares words with the body and is none of it.
    "aid": (
        "ik null grp group zero pole target tgt twist twst roll helper hlp aim goal effector switch swivel parent "
        "mch vis tweak pivot master socket slot attach prop weapon gun sword shield holder reference offset "
        "corrective driver share sharebone d ex キャンセル 捩 捩り 親 先ik ダミー dummy nub end tip site effectorend "
        "ctrl control ctl pin"
    ),
    "face": (
        "eye eyes eyelid lid brow eyebrow jaw chin mouth lip lips teeth tooth tongue cheek nose ear ears "
        "nostril face facial forehead temple beard 目 眉 舌 口 耳"
    ),
    "finger": (
        "finger fingers thumb index middle mid ring pinky little metacarpal metacarpals carpal carpals "
        "digit phalanx in_hand daumen zeigefinger mittelfinger ringfinger kleinerfinger pouce doigt "
        "pulgar dedo pollice polegar fingerbase 指 親指 人指 中指 薬指 小指 拇指"
    ),
    "loose": (
        "hair cloth skirt cape coat sleeve sleeves bust breast breasts boob pec pectoral butt buttock "
        "glute tail wing ponytail bang bangs ribbon tie belt strap hat hood scarf dress earring accessory "
        "armor armour pad shoulderpad スカート 髪 胸先 heel heels muscle flesh fat jiggle physics spring dyn sim "
        "collider"
    ),
}
_NOTIONS = {word: notion for notion, words in _VOCABULARY.items() for word in words.split()}
_FOREIGN = frozenset(("aid", "face", "finger", "loose"))
# Short words that are too often part of others to be looked for inside of a longer one.
_WHOLE = frozenset(word for word in _NOTIONS if word.isascii() and len(word) < 3) | {"end", "tip", "com", "cog", "ear"}
_LONGEST = max(map(len, _NOTIONS))

Proposal = Mapping[str, float]

# Notions, all of which a name must have, and what it may then be; the first that fits counts.
_SIDED: tuple[tuple[tuple[str, ...], Proposal], ...] = (
    (("clavicle",), {"collar": 1.0}),
    (("upper", "arm"), {"shoulder": 1.0}),
    (("lower", "arm"), {"elbow": 1.0}),
    (("upperarm",), {"shoulder": 1.0}),
    (("forearm",), {"elbow": 1.0}),
    (("wrist",), {"wrist": 1.0}),
    (("elbow",), {"elbow": 0.95}),
    (("shoulder",), {"collar": 0.6, "shoulder": 0.55}),
    (("palm",), {"wrist": 0.7}),
    (("hand",), {"wrist": 0.9, "hand": 0.5}),
    (("wan",), {"shoulder": 0.7, "wrist": 0.6}),
    (("arm",), {"shoulder": 0.75, "elbow": 0.4, "wrist": 0.15}),
    (("thigh",), {"hip": 1.0}),
    (("upper", "leg"), {"hip": 1.0}),
    (("lower", "leg"), {"knee": 1.0}),
    (("shin",), {"knee": 1.0}),
    (("knee",), {"knee": 0.95}),
    (("ankle",), {"ankle": 1.0}),
    (("toe",), {"foot": 0.9}),
    (("foot",), {"ankle": 0.9, "foot": 0.5, "hip": 0.2}),
    (("leg",), {"hip": 0.6, "knee": 0.55, "ankle": 0.15}),
    (("hip",), {"hip": 0.7}),
    (("pelvis",), {"hip": 0.3}),
)
_CENTRAL: tuple[tuple[tuple[str, ...], Proposal], ...] = (
    (("neck",), {"neck": 1.0}),
    (("head",), {"head": 1.0}),
    (("chest",), {"spine": 1.0}),
    (("pelvis",), {"pelvis": 1.0}),
    (("hip",), {"pelvis": 0.95}),
    (("spine",), {"spine": 1.0}),
    (("root",), {"pelvis": 0.4}),
)
# "Upper_L" of who knows what.
_HALVES: Mapping[str, Proposal] = {"upper": {"shoulder": 0.35, "hip": 0.35}, "lower": {"elbow": 0.35, "knee": 0.35}}


@lru_cache(maxsize=8192)
def propose(words: tuple[str, ...], sided: bool) -> Proposal:
    """Part of the body to how likely a bone with these words is it, 0 to 1; empty for what is no part of it."""
    notions = {notion for word in words for notion in _split(word)}
    if sided:
        # "Avant-bras", "collar bone".
        notions |= {_NOTIONS[a + b] for a, b in pairwise(words) if a + b in _NOTIONS}
    if notions & _FOREIGN and not (notions & {"spine", "toe"} and not notions & {"aid"}):
        return {}
    if sided and len(notions) == 1 and notions <= _HALVES.keys():
        return _HALVES[min(notions)]
    table = _SIDED if sided else _CENTRAL
    return next((proposal for needed, proposal in table if notions.issuperset(needed)), {})


def is_aid(words: tuple[str, ...]) -> bool:
    """Whether the words are those of a bone that helps, pulls or hangs about, and is no limb."""
    return any(notion in _FOREIGN for word in words for notion in _split(word))


@lru_cache(maxsize=8192)
def _split(word: str) -> tuple[str, ...]:
    """The notions in a word, which may be several words in one; none where part of it is unknown."""
    if word in _NOTIONS:
        return (_NOTIONS[word],)
    for end in range(min(len(word) - 1, _LONGEST), 0, -1):
        first = word[:end]
        if first in _NOTIONS and first not in _WHOLE:
            rest = _split(word[end:])
            if rest:
                return (_NOTIONS[first], *rest)
    return ()
