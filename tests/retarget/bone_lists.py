"""Bone lists of well-known conventions, as text, and the rigs that they make.

A line is a bone, indented below its parent, with "= part" where it plays one. A name with ``<Left|Right>``
stands, with all below it, for both sides. "spine" and "neck" are chains of any length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from stepsmith.retarget import rotations as rot
from stepsmith.retarget.rig import Rig
from stepsmith.retarget.skeleton import FOOT_HEIGHT, SMPL, SMPL_NAMES

_SPINE = ("spine1", "spine2", "spine3")
_PLACES = dict(zip(SMPL_NAMES, SMPL.rest_positions + np.array([0.0, 0.0, SMPL.rest_root_height]), strict=True))


@dataclass(frozen=True)
class Listed:
    """A rig and what its bones are: bone name to SMPL joint."""

    rig: Rig
    truth: dict[str, str]


def build(text: str) -> Listed:
    """The rig of a list, in SMPL's proportions and T pose, z up, facing -y."""
    bones = list(_expand(_lines(text)))
    names = [name for name, _, _ in bones]
    parents = [parent for _, parent, _ in bones]
    parts = [part for _, _, part in bones]
    truth = {name: part for name, part in zip(names, parts, strict=True) if part not in ("", "spine", "neck")}
    spots: list[np.ndarray | None] = [_PLACES.get(part) for part in parts]
    for part, ends, joints in (("spine", ("spine1", "neck"), _SPINE), ("neck", ("neck", "head"), ("neck",))):
        chain = [bone for bone, p in enumerate(parts) if p == part]
        for k, bone in enumerate(chain):
            spots[bone] = _PLACES[ends[0]] + (_PLACES[ends[1]] - _PLACES[ends[0]]) * k / len(chain)
            truth[names[bone]] = joints[-(-(k + 1) * len(joints) // len(chain)) - 1]
    kids = [[c for c, p in enumerate(parents) if p == bone] for bone in range(len(names))]
    for bone, parent in enumerate(parents):
        if spots[bone] is None:
            spots[bone] = _between(bone, parent, kids, spots)
    heads = np.array(spots)
    tails = np.empty_like(heads)
    for bone, parent in enumerate(parents):
        ahead = [heads[c] for c in kids[bone] if parts[c]] or [heads[c] for c in kids[bone]]
        way = (ahead[0] - heads[bone]) if ahead else np.zeros(3)
        if np.linalg.norm(way) < 1e-3:
            way = (heads[bone] - heads[parent]) * 0.5 if parent >= 0 else np.array([0.0, 0.0, 0.1])
        if np.linalg.norm(way) < 1e-3:
            way = np.array([0.0, 0.0, 0.05])
        tails[bone] = heads[bone] + way
    rest, lengths = np.tile(np.eye(4), (len(names), 1, 1)), np.linalg.norm(tails - heads, axis=-1)
    for bone, along in enumerate(tails - heads):
        rest[bone, :3, :3] = rot.to_matrix(rot.between([0.0, 1.0, 0.0], along))
        rest[bone, :3, 3] = heads[bone]
    return Listed(Rig(tuple(names), tuple(parents), rest, lengths), truth)


def _between(bone: int, parent: int, kids: list[list[int]], spots: list[np.ndarray | None]) -> np.ndarray:
    """Half-way to the next bone with a place below; beside the parent where there is none; the floor for a root."""
    if parent < 0:
        return np.zeros(3)
    here = np.asarray(spots[parent])
    below = list(kids[bone])
    while below:
        nearest = below.pop(0)
        if spots[nearest] is not None:
            return (here + np.asarray(spots[nearest])) / 2.0
        below += kids[nearest]
    outward = np.array([0.04 * np.sign(here[0]) or 0.02, -0.03, 0.01 - FOOT_HEIGHT])
    return here + outward * (1.0 + 0.1 * (bone % 7))


def _lines(text: str) -> list[tuple[int, str, str]]:
    found = []
    for line in text.strip("\n").splitlines():
        name, _, part = line.strip().partition(" = ")
        found.append(((len(line) - len(line.lstrip())) // 2, name, part))
    return found


def _expand(lines: list[tuple[int, str, str]]) -> Iterator[tuple[str, int, str]]:
    """(name, parent, part) of every bone, parents first."""
    above: list[int] = []
    count = 0
    at = 0
    while at < len(lines):
        depth, name, part = lines[at]
        end = at + 1
        if "<" in name:
            while end < len(lines) and lines[end][0] > depth:
                end += 1
            for side in range(2):
                chain = list(above[:depth])
                for deep, sided, own in lines[at:end]:
                    joint = own and own if own in ("spine", "neck", "head", "") else f"{('left', 'right')[side]}_{own}"
                    yield _pick(sided, side), chain[deep - 1] if deep else -1, joint
                    chain = [*chain[:deep], count]
                    count += 1
        else:
            yield name, above[depth - 1] if depth else -1, part
            above = [*above[:depth], count]
            count += 1
        at = end


def _pick(name: str, side: int) -> str:
    while "<" in name:
        start, end = name.index("<"), name.index(">")
        name = name[:start] + name[start + 1 : end].split("|")[side] + name[end + 1 :]
    return name


LISTS = {
    "Mixamo": """
mixamorig:Hips = pelvis
  mixamorig:Spine = spine
    mixamorig:Spine1 = spine
      mixamorig:Spine2 = spine
        mixamorig:Neck = neck
          mixamorig:Head = head
            mixamorig:HeadTop_End
            mixamorig:<Left|Right>Eye
        mixamorig:<Left|Right>Shoulder = collar
          mixamorig:<Left|Right>Arm = shoulder
            mixamorig:<Left|Right>ForeArm = elbow
              mixamorig:<Left|Right>Hand = wrist
                mixamorig:<Left|Right>HandThumb1
                  mixamorig:<Left|Right>HandThumb2
                mixamorig:<Left|Right>HandIndex1
                  mixamorig:<Left|Right>HandIndex2
                mixamorig:<Left|Right>HandMiddle1
  mixamorig:<Left|Right>UpLeg = hip
    mixamorig:<Left|Right>Leg = knee
      mixamorig:<Left|Right>Foot = ankle
        mixamorig:<Left|Right>ToeBase = foot
          mixamorig:<Left|Right>Toe_End
""",
    "HumanIK": """
Character1_Reference
  Character1_Hips = pelvis
    Character1_<Left|Right>UpLeg = hip
      Character1_<Left|Right>UpLegRoll
      Character1_<Left|Right>Leg = knee
        Character1_<Left|Right>Foot = ankle
          Character1_<Left|Right>ToeBase = foot
    Character1_Spine = spine
      Character1_Spine1 = spine
        Character1_Spine2 = spine
          Character1_Spine3 = spine
            Character1_<Left|Right>Shoulder = collar
              Character1_<Left|Right>Arm = shoulder
                Character1_<Left|Right>ArmRoll
                Character1_<Left|Right>ForeArm = elbow
                  Character1_<Left|Right>Hand = wrist
                    Character1_<Left|Right>HandThumb1
            Character1_Neck = neck
              Character1_Neck1 = neck
                Character1_Head = head
""",
    "Ready Player Me": """
Hips = pelvis
  Spine = spine
    Spine1 = spine
      Spine2 = spine
        Neck = neck
          Head = head
            HeadTop_End
            <Left|Right>Eye
        <Left|Right>Shoulder = collar
          <Left|Right>Arm = shoulder
            <Left|Right>ForeArm = elbow
              <Left|Right>Hand = wrist
                <Left|Right>HandThumb1
                <Left|Right>HandIndex1
  <Left|Right>UpLeg = hip
    <Left|Right>Leg = knee
      <Left|Right>Foot = ankle
        <Left|Right>ToeBase = foot
          <Left|Right>Toe_End
""",
    "Rigify metarig": """
spine = pelvis
  spine.001 = spine
    spine.002 = spine
      spine.003 = spine
        spine.004 = neck
          spine.005 = neck
            spine.006 = head
              face
                nose
                jaw
                ear.<L|R>
        shoulder.<L|R> = collar
          upper_arm.<L|R> = shoulder
            forearm.<L|R> = elbow
              hand.<L|R> = wrist
                palm.01.<L|R>
                  f_index.01.<L|R>
                    f_index.02.<L|R>
                  thumb.01.<L|R>
        breast.<L|R>
  pelvis.<L|R>
  thigh.<L|R> = hip
    shin.<L|R> = knee
      foot.<L|R> = ankle
        toe.<L|R> = foot
        heel.02.<L|R>
""",
    "Rigify deform": """
root
  DEF-spine = pelvis
    DEF-spine.001 = spine
      DEF-spine.002 = spine
        DEF-spine.003 = spine
          DEF-spine.004 = neck
            DEF-spine.005 = neck
              DEF-spine.006 = head
          DEF-shoulder.<L|R> = collar
            DEF-upper_arm.<L|R> = shoulder
              DEF-upper_arm.<L|R>.001
                DEF-forearm.<L|R> = elbow
                  DEF-forearm.<L|R>.001
                    DEF-hand.<L|R> = wrist
                      DEF-palm.01.<L|R>
                        DEF-f_index.01.<L|R>
          DEF-breast.<L|R>
    DEF-pelvis.<L|R>
    DEF-thigh.<L|R> = hip
      DEF-thigh.<L|R>.001
        DEF-shin.<L|R> = knee
          DEF-shin.<L|R>.001
            DEF-foot.<L|R> = ankle
              DEF-toe.<L|R> = foot
""",
    "MakeHuman": """
root = pelvis
  pelvis.<L|R>
    upperleg01.<L|R> = hip
      upperleg02.<L|R>
        lowerleg01.<L|R> = knee
          lowerleg02.<L|R>
            foot.<L|R> = ankle
              toe1-1.<L|R> = foot
                toe1-2.<L|R>
              toe2-1.<L|R>
              toe3-1.<L|R>
  spine05 = spine
    spine04 = spine
      spine03 = spine
        spine02 = spine
          breast.<L|R>
          spine01 = spine
            clavicle.<L|R> = collar
              shoulder01.<L|R>
                upperarm01.<L|R> = shoulder
                  upperarm02.<L|R>
                    lowerarm01.<L|R> = elbow
                      lowerarm02.<L|R>
                        wrist.<L|R> = wrist
                          metacarpal1.<L|R>
                            finger2-1.<L|R>
            neck01 = neck
              neck02 = neck
                neck03 = neck
                  head = head
                    jaw
                    eye.<L|R>
""",
    "Unreal": """
root
  pelvis = pelvis
    spine_01 = spine
      spine_02 = spine
        spine_03 = spine
          spine_04 = spine
            spine_05 = spine
              clavicle_<l|r> = collar
                upperarm_<l|r> = shoulder
                  upperarm_twist_01_<l|r>
                  upperarm_correctiveRoot_<l|r>
                  lowerarm_<l|r> = elbow
                    lowerarm_twist_01_<l|r>
                    hand_<l|r> = wrist
                      index_metacarpal_<l|r>
                        index_01_<l|r>
                      thumb_01_<l|r>
              neck_01 = neck
                neck_02 = neck
                  head = head
    thigh_<l|r> = hip
      thigh_twist_01_<l|r>
      calf_<l|r> = knee
        calf_twist_01_<l|r>
        foot_<l|r> = ankle
          ball_<l|r> = foot
  ik_foot_root
    ik_foot_<l|r>
  ik_hand_root
    ik_hand_gun
      ik_hand_<l|r>
  interaction
  center_of_mass
""",
    "Unity and VRM": """
Hips = pelvis
  Spine = spine
    Chest = spine
      UpperChest = spine
        Neck = neck
          Head = head
            <Left|Right>Eye
            Jaw
        <Left|Right>Shoulder = collar
          <Left|Right>UpperArm = shoulder
            <Left|Right>LowerArm = elbow
              <Left|Right>Hand = wrist
                <Left|Right>ThumbProximal
                <Left|Right>IndexProximal
  <Left|Right>UpperLeg = hip
    <Left|Right>LowerLeg = knee
      <Left|Right>Foot = ankle
        <Left|Right>Toes = foot
""",
    "VRoid": """
Root
  J_Bip_C_Hips = pelvis
    J_Bip_C_Spine = spine
      J_Bip_C_Chest = spine
        J_Bip_C_UpperChest = spine
          J_Sec_<L|R>_Bust1
            J_Sec_<L|R>_Bust2
          J_Bip_C_Neck = neck
            J_Bip_C_Head = head
              J_Adj_<L|R>_FaceEye
              J_Sec_Hair1_01
                J_Sec_Hair2_01
          J_Bip_<L|R>_Shoulder = collar
            J_Bip_<L|R>_UpperArm = shoulder
              J_Sec_<L|R>_TopsUpperArmInside
              J_Bip_<L|R>_LowerArm = elbow
                J_Bip_<L|R>_Hand = wrist
                  J_Bip_<L|R>_Index1
                  J_Bip_<L|R>_Thumb1
    J_Sec_<L|R>_CoatSkirtBack
    J_Bip_<L|R>_UpperLeg = hip
      J_Bip_<L|R>_LowerLeg = knee
        J_Bip_<L|R>_Foot = ankle
          J_Bip_<L|R>_ToeBase = foot
""",
    "Character Creator": """
CC_Base_BoneRoot
  CC_Base_Hip = pelvis
    CC_Base_Pelvis
      CC_Base_<L|R>_Thigh = hip
        CC_Base_<L|R>_Calf = knee
          CC_Base_<L|R>_Foot = ankle
            CC_Base_<L|R>_ToeBase = foot
              CC_Base_<L|R>_BigToe1
            CC_Base_<L|R>_ToeBaseShareBone
          CC_Base_<L|R>_CalfTwist01
          CC_Base_<L|R>_KneeShareBone
        CC_Base_<L|R>_ThighTwist01
    CC_Base_Waist = spine
      CC_Base_Spine01 = spine
        CC_Base_Spine02 = spine
          CC_Base_<L|R>_RibsTwist
            CC_Base_<L|R>_Breast
          CC_Base_NeckTwist01 = neck
            CC_Base_NeckTwist02 = neck
              CC_Base_Head = head
                CC_Base_FacialBone
                  CC_Base_JawRoot
          CC_Base_<L|R>_Clavicle = collar
            CC_Base_<L|R>_Upperarm = shoulder
              CC_Base_<L|R>_UpperarmTwist01
              CC_Base_<L|R>_Forearm = elbow
                CC_Base_<L|R>_ForearmTwist01
                CC_Base_<L|R>_ElbowShareBone
                CC_Base_<L|R>_Hand = wrist
                  CC_Base_<L|R>_Thumb1
                  CC_Base_<L|R>_Mid1
""",
    "Poser": """
hip = pelvis
  abdomen = spine
    chest = spine
      neck = neck
        head = head
      <l|r>Collar = collar
        <l|r>Shldr = shoulder
          <l|r>ForeArm = elbow
            <l|r>Hand = wrist
              <l|r>Thumb1
              <l|r>Index1
  <l|r>Buttock
    <l|r>Thigh = hip
      <l|r>Shin = knee
        <l|r>Foot = ankle
          <l|r>Toe = foot
""",
    "Daz Genesis 3 to 8": """
hip = pelvis
  pelvis
    <l|r>ThighBend = hip
      <l|r>ThighTwist
        <l|r>Shin = knee
          <l|r>Foot = ankle
            <l|r>Metatarsals
              <l|r>Toe = foot
                <l|r>BigToe
            <l|r>Heel
  abdomenLower = spine
    abdomenUpper = spine
      chestLower = spine
        chestUpper = spine
          <l|r>Collar = collar
            <l|r>ShldrBend = shoulder
              <l|r>ShldrTwist
                <l|r>ForearmBend = elbow
                  <l|r>ForearmTwist
                    <l|r>Hand = wrist
                      <l|r>Thumb1
                      <l|r>Carpal1
                        <l|r>Index1
          neckLower = neck
            neckUpper = neck
              head = head
                upperTeeth
                lowerJaw
        <l|r>Pectoral
""",
    "Daz Genesis 9": """
hip = pelvis
  pelvis
    <l|r>_thigh = hip
      <l|r>_thightwist1
      <l|r>_thightwist2
      <l|r>_shin = knee
        <l|r>_foot = ankle
          <l|r>_metatarsals
          <l|r>_toes = foot
            <l|r>_bigtoe1
  spine1 = spine
    spine2 = spine
      spine3 = spine
        spine4 = spine
          <l|r>_shoulder = collar
            <l|r>_upperarm = shoulder
              <l|r>_upperarmtwist1
              <l|r>_forearm = elbow
                <l|r>_forearmtwist1
                <l|r>_hand = wrist
                  <l|r>_thumb1
                  <l|r>_indexmetacarpal
          neck1 = neck
            neck2 = neck
              head = head
        <l|r>_pectoral
""",
    "MMD": """
全ての親
  センター
    グルーブ
      腰 = pelvis
        上半身 = spine
          上半身2 = spine
            首 = neck
              頭 = head
                両目
                <左|右>目
            <左|右>肩P
              <左|右>肩 = collar
                <左|右>肩C
                  <左|右>腕 = shoulder
                    <左|右>腕捩
                      <左|右>ひじ = elbow
                        <左|右>手捩
                          <左|右>手首 = wrist
                            <左|右>親指０
                            <左|右>人指１
        下半身
          腰キャンセル<左|右>
            <左|右>足 = hip
              <左|右>ひざ = knee
                <左|右>足首 = ankle
                  <左|右>つま先 = foot
            <左|右>足D
              <左|右>ひざD
                <左|右>足首D
                  <左|右>足先EX
  <左|右>足IK親
    <左|右>足ＩＫ
      <左|右>つま先ＩＫ
""",
    "MMD, in English": """
ParentNode
  Center = pelvis
    UpperBody = spine
      UpperBody2 = spine
        Neck = neck
          Head = head
        Shoulder_<L|R> = collar
          Arm_<L|R> = shoulder
            ArmTwist_<L|R>
            Elbow_<L|R> = elbow
              Wrist_<L|R> = wrist
                Thumb1_<L|R>
    LowerBody
      Leg_<L|R> = hip
        Knee_<L|R> = knee
          Ankle_<L|R> = ankle
            ToeTip_<L|R> = foot
      LegD_<L|R>
        KneeD_<L|R>
          AnkleD_<L|R>
  LegIK_<L|R>
    ToeTipIK_<L|R>
""",
    "Biped": """
Bip01
  Bip01 Footsteps
  Bip01 Pelvis = pelvis
    Bip01 Spine = spine
      Bip01 Spine1 = spine
        Bip01 Neck = neck
          Bip01 Head = head
            Bip01 HeadNub
          Bip01 <L|R> Clavicle = collar
            Bip01 <L|R> UpperArm = shoulder
              Bip01 <L|R> Forearm = elbow
                Bip01 <L|R> Hand = wrist
                  Bip01 <L|R> Finger0
                    Bip01 <L|R> Finger01
                  Bip01 <L|R> Finger1
    Bip01 <L|R> Thigh = hip
      Bip01 <L|R> Calf = knee
        Bip01 <L|R> Foot = ankle
          Bip01 <L|R> Toe0 = foot
            Bip01 <L|R> Toe0Nub
""",
    "Biped, as it is exported": """
Bip001
  Bip001 Footsteps
  Bip001 Pelvis = pelvis
    Bip001 Spine = spine
      Bip001 <L|R> Thigh = hip
        Bip001 <L|R> Calf = knee
          Bip001 <L|R> Foot = ankle
            Bip001 <L|R> Toe0 = foot
              Bip001 <L|R> Toe0Nub
      Bip001 Spine1 = spine
        Bip001 Spine2 = spine
          Bip001 Neck = neck
            Bip001 <L|R> Clavicle = collar
              Bip001 <L|R> UpperArm = shoulder
                Bip001 <L|R> Forearm = elbow
                  Bip001 <L|R> Hand = wrist
                    Bip001 <L|R> Finger0
                      Bip001 <L|R> Finger01
                    Bip001 <L|R> Finger1
                      Bip001 <L|R> Finger11
                        Bip001 <L|R> Finger1Nub
                  Bip001 <L|R> ForeTwist
                  Bip001 <L|R> ForeTwist1
            Bip001 Head = head
              Bip001 HeadNub
  Bip001 Prop1
""",
    "Source": """
ValveBiped.Bip01_Pelvis = pelvis
  ValveBiped.Bip01_Spine = spine
    ValveBiped.Bip01_Spine1 = spine
      ValveBiped.Bip01_Spine2 = spine
        ValveBiped.Bip01_Spine4 = spine
          ValveBiped.Bip01_Neck1 = neck
            ValveBiped.Bip01_Head1 = head
              ValveBiped.forward
          ValveBiped.Bip01_<L|R>_Clavicle = collar
            ValveBiped.Bip01_<L|R>_UpperArm = shoulder
              ValveBiped.Bip01_<L|R>_Forearm = elbow
                ValveBiped.Bip01_<L|R>_Hand = wrist
                  ValveBiped.Bip01_<L|R>_Finger1
              ValveBiped.Bip01_<L|R>_Bicep
  ValveBiped.Bip01_<L|R>_Thigh = hip
    ValveBiped.Bip01_<L|R>_Calf = knee
      ValveBiped.Bip01_<L|R>_Foot = ankle
        ValveBiped.Bip01_<L|R>_Toe0 = foot
""",
    "Auto-Rig Pro": """
root.x = pelvis
  spine_01.x = spine
    spine_02.x = spine
      spine_03.x = spine
        neck.x = neck
          head.x = head
        shoulder.<l|r> = collar
          arm_stretch.<l|r> = shoulder
            arm_twist.<l|r>
            forearm_stretch.<l|r> = elbow
              forearm_twist.<l|r>
              hand.<l|r> = wrist
                c_thumb1.<l|r>
                c_index1_base.<l|r>
  thigh_stretch.<l|r> = hip
    thigh_twist.<l|r>
    leg_stretch.<l|r> = knee
      leg_twist.<l|r>
      foot.<l|r> = ankle
        toes_01.<l|r> = foot
""",
    "CMU": """
Hips = pelvis
  <L|R>HipJoint
    <Left|Right>UpLeg = hip
      <Left|Right>Leg = knee
        <Left|Right>Foot = ankle
          <Left|Right>ToeBase = foot
  LowerBack = spine
    Spine = spine
      Spine1 = spine
        Neck = neck
          Neck1 = neck
            Head = head
        <Left|Right>Shoulder = collar
          <Left|Right>Arm = shoulder
            <Left|Right>ForeArm = elbow
              <Left|Right>Hand = wrist
                <Left|Right>FingerBase
                  <Left|Right>HandIndex1
                <L|R>Thumb
""",
    "SMPL": """
m_avg_Pelvis = pelvis
  m_avg_<L|R>_Hip = hip
    m_avg_<L|R>_Knee = knee
      m_avg_<L|R>_Ankle = ankle
        m_avg_<L|R>_Foot = foot
  m_avg_Spine1 = spine
    m_avg_Spine2 = spine
      m_avg_Spine3 = spine
        m_avg_Neck = neck
          m_avg_Head = head
        m_avg_<L|R>_Collar = collar
          m_avg_<L|R>_Shoulder = shoulder
            m_avg_<L|R>_Elbow = elbow
              m_avg_<L|R>_Wrist = wrist
                m_avg_<L|R>_Hand = hand
""",
    "SMPL-X": """
root
  pelvis = pelvis
    <left|right>_hip = hip
      <left|right>_knee = knee
        <left|right>_ankle = ankle
          <left|right>_foot = foot
    spine1 = spine
      spine2 = spine
        spine3 = spine
          neck = neck
            head = head
              jaw
              <left|right>_eye_smplhf
          <left|right>_collar = collar
            <left|right>_shoulder = shoulder
              <left|right>_elbow = elbow
                <left|right>_wrist = wrist
                  <left|right>_index1
                    <left|right>_index2
                  <left|right>_thumb1
""",
    "Rokoko": """
Root
  Hips = pelvis
    <Left|Right>Thigh = hip
      <Left|Right>Shin = knee
        <Left|Right>Foot = ankle
          <Left|Right>Toe = foot
            <Left|Right>ToeTip
    Spine1 = spine
      Spine2 = spine
        Spine3 = spine
          Spine4 = spine
            <Left|Right>Shoulder = collar
              <Left|Right>Arm = shoulder
                <Left|Right>ForeArm = elbow
                  <Left|Right>Hand = wrist
                    <Left|Right>Finger1Metacarpal
            Neck = neck
              Head = head
""",
    "Xsens": """
Pelvis = pelvis
  L5 = spine
    L3 = spine
      T12 = spine
        T8 = spine
          Neck = neck
            Head = head
          <Left|Right>Shoulder = collar
            <Left|Right>UpperArm = shoulder
              <Left|Right>ForeArm = elbow
                <Left|Right>Hand = wrist
  <Left|Right>UpperLeg = hip
    <Left|Right>LowerLeg = knee
      <Left|Right>Foot = ankle
        <Left|Right>Toe = foot
""",
    "Xsens BVH": """
Hips = pelvis
  Chest = spine
    Chest2 = spine
      Chest3 = spine
        Chest4 = spine
          Neck = neck
            Head = head
          <Left|Right>Collar = collar
            <Left|Right>Shoulder = shoulder
              <Left|Right>Elbow = elbow
                <Left|Right>Wrist = wrist
  <Left|Right>Hip = hip
    <Left|Right>Knee = knee
      <Left|Right>Ankle = ankle
        <Left|Right>Toe = foot
""",
    "OpenPose": """
MidHip = pelvis
  <L|R>Hip = hip
    <L|R>Knee = knee
      <L|R>Ankle = ankle
        <L|R>BigToe = foot
          <L|R>SmallToe
        <L|R>Heel
  Neck = spine
    Nose = head
      <L|R>Eye
        <L|R>Ear
    <L|R>Shoulder = shoulder
      <L|R>Elbow = elbow
        <L|R>Wrist = wrist
""",
    "KayKit": """
root
  hips = pelvis
    spine = spine
      chest = spine
        upperarm.<l|r> = shoulder
          lowerarm.<l|r> = elbow
            wrist.<l|r> = wrist
              hand.<l|r> = hand
                handslot.<l|r>
        head = head
    upperleg.<l|r> = hip
      lowerleg.<l|r> = knee
        foot.<l|r> = ankle
          toes.<l|r> = foot
  kneeIK.<l|r>
  control-toe-roll.<l|r>
    control-heel-roll.<l|r>
      control-foot-roll.<l|r>
        heelIK.<l|r>
        IK-foot.<l|r>
      IK-toe.<l|r>
  elbowIK.<l|r>
  handIK.<l|r>
""",
    "Quaternius": """
Bone
  Body = pelvis
    Hips
      UpperLeg.<L|R> = hip
        LowerLeg.<L|R> = knee
          LowerLeg.<L|R>_end
    Abdomen = spine
      Torso = spine
        Neck = neck
          Head = head
        Shoulder.<L|R> = collar
          UpperArm.<L|R> = shoulder
            LowerArm.<L|R> = elbow
              Palm.<L|R> = wrist
                Index1.<L|R>
  Foot.<L|R> = ankle
  PoleTarget.<L|R>
""",
    "Synty": """
Root
  Hips = pelvis
    UpperLeg_<L|R> = hip
      LowerLeg_<L|R> = knee
        Ankle_<L|R> = ankle
          Ball_<L|R> = foot
            Toes_<L|R>
    Spine_01 = spine
      Spine_02 = spine
        Spine_03 = spine
          Clavicle_<L|R> = collar
            Shoulder_<L|R> = shoulder
              Elbow_<L|R> = elbow
                Hand_<L|R> = wrist
                  IndexFinger_01_<L|R>
          Neck = neck
            Head = head
              Eyebrows
""",
    "Second Life": """
mPelvis = pelvis
  mTorso = spine
    mChest = spine
      mNeck = neck
        mHead = head
          mSkull
          mEye<Left|Right>
      mCollar<Left|Right> = collar
        mShoulder<Left|Right> = shoulder
          mElbow<Left|Right> = elbow
            mWrist<Left|Right> = wrist
              mHandThumb1<Left|Right>
  mHip<Left|Right> = hip
    mKnee<Left|Right> = knee
      mAnkle<Left|Right> = ankle
        mFoot<Left|Right> = foot
          mToe<Left|Right>
""",
    "Roblox R15": """
HumanoidRootPart
  LowerTorso = pelvis
    UpperTorso = spine
      Head = head
      <Left|Right>UpperArm = shoulder
        <Left|Right>LowerArm = elbow
          <Left|Right>Hand = wrist
    <Left|Right>UpperLeg = hip
      <Left|Right>LowerLeg = knee
        <Left|Right>Foot = ankle
""",
    "Advanced Skeleton": """
Root_M = pelvis
  Hip_<L|R> = hip
    HipPart1_<L|R>
      HipPart2_<L|R>
    Knee_<L|R> = knee
      Ankle_<L|R> = ankle
        Toes_<L|R> = foot
          ToesEnd_<L|R>
  Spine1_M = spine
    Spine2_M = spine
      Chest_M = spine
        Scapula_<L|R> = collar
          Shoulder_<L|R> = shoulder
            ShoulderPart1_<L|R>
              ShoulderPart2_<L|R>
            Elbow_<L|R> = elbow
              ElbowPart1_<L|R>
                ElbowPart2_<L|R>
              Wrist_<L|R> = wrist
                ThumbFinger1_<L|R>
                IndexFinger1_<L|R>
                  IndexFinger2_<L|R>
                MiddleFinger1_<L|R>
                Cup_<L|R>
                  PinkyFinger1_<L|R>
        Neck_M = neck
          NeckPart1_M
          Head_M = head
            Jaw_M
            Eye_<L|R>
""",
}
