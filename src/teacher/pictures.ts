// Pictures that go along to a teacher that sees: small copies, known by what is in their files.
import { picturePath, pictureFile } from "../data/picture-path.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { type ChatRequest, pictureSide } from "../endpoint/wire.ts";
import { InputError } from "../errors.ts";
import { pictureHash, readPictureBytes, thumbnail } from "../image/node.ts";

export interface Sight {
  /**
   * A picture as requests carry it until they are sent: the hash of its file and its path. Undefined where there is no
   * readable file.
   */
  nameOf(image: string): Promise<string | undefined>;
  /** the endpoint, to which pictures go as small JPEGs in the place of their names */
  show(endpoint: Endpoint): Endpoint;
}

/** Hexadecimal digits of the hash in a name. */
const digits = 64;

/** Pictures below a folder. Those that are asked about again are not read again. */
export function openSight(imagesRoot: string): Sight {
  const names = new Map<string, Promise<string | undefined>>();
  const fileOf = (image: string): string => pictureFile(imagesRoot, picturePath(image, "picture"));
  const read = async (image: string): Promise<string | undefined> => {
    try {
      return `${pictureHash(await readPictureBytes(fileOf(image)))}${image}`;
    } catch (error) {
      if (error instanceof InputError) return undefined;
      throw error;
    }
  };
  const shown = async (name: string): Promise<string> => {
    const image = name.slice(digits);
    const bytes = await readPictureBytes(fileOf(image));
    if (pictureHash(bytes) !== name.slice(0, digits)) {
      const fix = "run it again, or let all workers have the same pictures";
      throw new InputError("PICTURE_CHANGED", {
        expected: "the picture that was planned",
        got: "another",
        where: image,
        fix,
      });
    }
    return thumbnail(bytes, pictureSide);
  };
  return {
    nameOf(image) {
      const name = names.get(image) ?? read(image);
      names.set(image, name);
      return name;
    },
    show: (endpoint) => ({
      url: endpoint.url,
      concurrency: endpoint.concurrency,
      price: endpoint.price,
      get limit() {
        return endpoint.limit;
      },
      get load() {
        return endpoint.load;
      },
      chat: async (request, options) => endpoint.chat(await withShown(request, shown), options),
    }),
  };
}

async function withShown(request: ChatRequest, shown: (name: string) => Promise<string>): Promise<ChatRequest> {
  const messages = request.messages.map(async ({ pictures, ...message }) =>
    pictures === undefined ? message : { ...message, pictures: await Promise.all(pictures.map(shown)) },
  );
  return { ...request, messages: await Promise.all(messages) };
}

/** Added to a kind's prompt, which speaks of words alone. */
export const sightedForm =
  "This time the photo itself comes along with what is said of it. Look at it: what can be seen there counts, and may be told though no words name it. Where words and photo disagree, or something cannot be made out, leave it aside.";
