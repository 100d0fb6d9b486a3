// The question that is being written, with its pictures.
import { useCallback, useMemo, useState } from "react";
import type { Picture } from "./conversation.ts";
import { picturesIn, readPictures } from "./pictures.ts";

export interface Draft {
  readonly text: string;
  readonly pictures: readonly Picture[];
  readonly setText: (text: string) => void;
  readonly add: (picture: Picture) => void;
  /** Pictures that were chosen, pasted or dropped; returns whether there were any. */
  readonly addFiles: (files: DataTransfer | readonly File[] | null) => boolean;
  readonly remove: (picture: Picture) => void;
  /** Asks what is written, or `text` in its place; returns false where there is nothing to ask. */
  readonly send: (text?: string) => boolean;
}

/** Where questions go. */
export interface Asked {
  /** returns false where nothing can be asked now */
  ask(text: string, pictures: readonly Picture[]): boolean;
  report(problem: string): void;
}

export function useDraft(asked: Asked): Draft {
  const [text, setText] = useState("");
  const [pictures, setPictures] = useState<readonly Picture[]>([]);
  const add = useCallback((picture: Picture) => setPictures((before) => [...before, picture]), []);
  const addFiles = useCallback(
    (given: DataTransfer | readonly File[] | null): boolean => {
      const files = given === null || given instanceof DataTransfer ? picturesIn(given) : given;
      if (files.length > 0) {
        void readPictures(files).then(({ pictures: read, problem }) => {
          setPictures((before) => [...before, ...read]);
          asked.report(problem);
        });
      }
      return files.length > 0;
    },
    [asked],
  );
  return useMemo(() => {
    const remove = (picture: Picture): void => setPictures((before) => before.filter((each) => each !== picture));
    const send = (instead?: string): boolean => {
      const words = instead ?? text.trim();
      if ((words === "" && pictures.length === 0) || !asked.ask(words, pictures)) return false;
      setPictures([]);
      if (instead === undefined) setText("");
      return true;
    };
    return { text, pictures, setText, add, addFiles, remove, send };
  }, [text, pictures, add, addFiles, asked]);
}
