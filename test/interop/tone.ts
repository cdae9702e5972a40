import { writeFile } from "node:fs/promises";

const sampleRateHz = 8000;

/** Writes a WAV file (8 kHz, mono, 16 bit) with a quiet 440 Hz sine: what a phone without a microphone says. */
export async function writeTone(path: string, seconds: number): Promise<void> {
  const samples = sampleRateHz * seconds;
  const file = Buffer.alloc(44 + samples * 2);
  file.write("RIFF", 0, "latin1");
  file.writeUInt32LE(36 + samples * 2, 4);
  file.write("WAVEfmt ", 8, "latin1");
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(sampleRateHz, 24);
  file.writeUInt32LE(sampleRateHz * 2, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36, "latin1");
  file.writeUInt32LE(samples * 2, 40);
  for (let sample = 0; sample < samples; sample += 1) {
    file.writeInt16LE(Math.round(4000 * Math.sin((2 * Math.PI * 440 * sample) / sampleRateHz)), 44 + sample * 2);
  }
  await writeFile(path, file);
}
