// How each noun looks: SVG drawings in a 100 × 100 box, painted with one colour, its shade and an outline.
import type { Colour, Noun } from "./scenes.ts";

/** A colour as it is painted: the fill and a darker tone of it for sides and shadows. */
export interface Paint {
  readonly fill: string;
  readonly shade: string;
}

export const paints: Readonly<Record<Colour, Paint>> = {
  red: { fill: "#dc2626", shade: "#991b1b" },
  orange: { fill: "#f97316", shade: "#b84a08" },
  yellow: { fill: "#fde047", shade: "#cfa90c" },
  green: { fill: "#16a34a", shade: "#0d6630" },
  blue: { fill: "#2563eb", shade: "#17409e" },
  purple: { fill: "#7e22ce", shade: "#541489" },
  pink: { fill: "#f9a8d4", shade: "#d95fa2" },
  white: { fill: "#fafafa", shade: "#b9bfca" },
};

const ink = `stroke="#1f2937" stroke-width="4" stroke-linejoin="round" stroke-linecap="round"`;
const line = `fill="none" ${ink}`;
const glass = `fill="#cfe8ff" ${ink}`;
const wood = `fill="#8b5a2b" ${ink}`;
const cream = `fill="#fff1d6" ${ink}`;

/** The drawing of a noun in a 100 × 100 box. */
export const icons: Readonly<Record<Noun, (paint: Paint) => string>> = {
  boat: ({ fill, shade }) =>
    `<path d="M4 66H96L80 92H20Z" fill="${shade}" ${ink}/><path d="M48 66V6" ${line}/>` +
    `<path d="M53 10L88 58H53Z" fill="${fill}" ${ink}/><path d="M43 20L14 58H43Z" fill="${fill}" ${ink}/>`,
  house: ({ fill, shade }) =>
    `<rect x="16" y="44" width="68" height="50" fill="${fill}" ${ink}/>` +
    `<path d="M4 48L50 6L96 48Z" fill="${shade}" ${ink}/><rect x="42" y="64" width="18" height="30" ${wood}/>` +
    `<rect x="23" y="56" width="13" height="15" ${glass}/><rect x="66" y="56" width="13" height="15" ${glass}/>`,
  tree: ({ fill, shade }) =>
    `<rect x="42" y="68" width="16" height="28" ${wood}/><path d="M50 34L90 74H10Z" fill="${shade}" ${ink}/>` +
    `<path d="M50 4L82 48H18Z" fill="${fill}" ${ink}/>`,
  car: ({ fill, shade }) =>
    `<path d="M24 50L36 24H68L80 50Z" fill="${shade}" ${ink}/><path d="M35 48L42 31H50V48Z" ${glass}/>` +
    `<path d="M56 48V31H63L71 48Z" ${glass}/><rect x="4" y="48" width="92" height="28" rx="9" fill="${fill}" ${ink}/>` +
    `<circle cx="26" cy="77" r="13" fill="#374151" ${ink}/><circle cx="74" cy="77" r="13" fill="#374151" ${ink}/>`,
  star: ({ fill }) => `<path d="M50 4L63 37L97 39L70 61L79 95L50 76L21 95L30 61L3 39L37 37Z" fill="${fill}" ${ink}/>`,
  flower: ({ fill }) =>
    `<path d="M50 50C48 70 52 84 50 97" fill="none" stroke="#15803d" stroke-width="8" stroke-linecap="round"/>` +
    [0, 72, 144, 216, 288]
      .map(
        (turn) => `<ellipse cx="50" cy="17" rx="14" ry="16" transform="rotate(${turn} 50 38)" fill="${fill}" ${ink}/>`,
      )
      .join("") +
    `<circle cx="50" cy="38" r="11" fill="#7c4a12" ${ink}/>`,
  balloon: ({ fill, shade }) =>
    `<path d="M50 68C42 78 58 86 50 98" ${line}/><path d="M43 72H57L50 62Z" fill="${shade}" ${ink}/>` +
    `<ellipse cx="50" cy="35" rx="29" ry="32" fill="${fill}" ${ink}/>` +
    `<ellipse cx="39" cy="24" rx="6" ry="10" fill="#ffffff" opacity="0.6" transform="rotate(25 39 24)"/>`,
  umbrella: ({ fill, shade }) =>
    `<path d="M50 46V84C50 98 70 98 70 84" ${line}/><path d="M4 52C6 -8 94 -8 96 52C84 42 74 42 66 52C58 42 42 42 34 52C26 42 16 42 4 52Z" fill="${fill}" ${ink}/>` +
    `<path d="M34 52C36 30 42 14 50 8C58 14 64 30 66 52C58 42 42 42 34 52Z" fill="${shade}" ${ink}/>`,
  mushroom: ({ fill }) =>
    `<path d="M36 52H64L68 90C68 97 32 97 32 90Z" ${cream}/>` +
    `<path d="M4 56C4 -10 96 -10 96 56C80 62 20 62 4 56Z" fill="${fill}" ${ink}/>` +
    `<circle cx="34" cy="28" r="8" fill="#fff1d6"/><circle cx="64" cy="22" r="6" fill="#fff1d6"/><circle cx="70" cy="44" r="7" fill="#fff1d6"/><circle cx="46" cy="46" r="6" fill="#fff1d6"/>`,
  cup: ({ fill, shade }) =>
    `<path d="M70 40C98 34 98 74 68 72" fill="none" stroke="#1f2937" stroke-width="15"/><path d="M70 40C98 34 98 74 68 72" fill="none" stroke="${shade}" stroke-width="8"/>` +
    `<path d="M12 28H74L68 88C67 95 19 95 18 88Z" fill="${fill}" ${ink}/><ellipse cx="43" cy="28" rx="31" ry="9" fill="#4b2e16" ${ink}/>`,
  kite: ({ fill, shade }) =>
    `<path d="M50 72C40 80 62 88 50 98" ${line}/><path d="M50 3L84 34L50 76L16 34Z" fill="${fill}" ${ink}/>` +
    `<path d="M50 3L84 34H50Z M50 34V76L16 34Z" fill="${shade}" ${ink}/>`,
  cat: ({ fill, shade }) =>
    `<path d="M14 8L40 24H60L86 8V58C86 82 70 94 50 94C30 94 14 82 14 58Z" fill="${fill}" ${ink}/>` +
    `<path d="M20 20L34 28L21 38Z M80 20L66 28L79 38Z" fill="${shade}"/>` +
    `<circle cx="34" cy="50" r="6" fill="#1f2937"/><circle cx="66" cy="50" r="6" fill="#1f2937"/>` +
    `<path d="M45 63H55L50 69Z" fill="#1f2937"/><path d="M50 69C46 78 38 76 36 74M50 69C54 78 62 76 64 74" ${line}/><path d="M6 60L24 64M94 60L76 64" ${line}/>`,
};
