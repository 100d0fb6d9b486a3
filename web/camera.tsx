// Takes a picture with the device's camera, which is on only while the dialog is open.
import { useEffect, useRef, useState } from "react";
import type { Picture } from "./conversation.ts";
import { Dialog } from "./dialog.tsx";
import { readPicture } from "./pictures.ts";

interface CameraProps {
  readonly onPicture: (picture: Picture) => void;
  readonly onClose: () => void;
}

export function Camera({ onPicture, onClose }: CameraProps) {
  const video = useRef<HTMLVideoElement>(null);
  const [state, setState] = useState<"opening" | "on" | "refused">("opening");
  useEffect(() => {
    let stream: MediaStream | undefined;
    let closed = false;
    const open = async (): Promise<void> => {
      try {
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        if (closed) return stop(stream);
        video.current!.srcObject = stream;
        await video.current!.play();
        setState("on");
      } catch {
        if (!closed) setState("refused");
      }
    };
    void open();
    return () => {
      closed = true;
      stop(stream);
    };
  }, []);
  const take = async (): Promise<void> => {
    onPicture(await photograph(video.current!));
    onClose();
  };
  return (
    <Dialog title="Take a picture" onClose={onClose}>
      {state === "refused" ? (
        <p>There is no camera, or this page may not use it.</p>
      ) : (
        <video ref={video} muted playsInline aria-label="What the camera sees" />
      )}
      <div className="row">
        <button type="button" className="main" disabled={state !== "on"} onClick={() => void take()}>
          Take
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </Dialog>
  );
}

function stop(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}

async function photograph(video: HTMLVideoElement): Promise<Picture> {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d")!.drawImage(video, 0, 0);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
  return readPicture(blob!, "photo.jpg");
}
