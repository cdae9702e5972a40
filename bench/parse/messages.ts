/*
 * The messages of the parse benchmark, as phones, browsers and servers write them: headers in the order and fullness of JsSIP, a desk phone and
 * SIPp, session descriptions of a browser's audio and video offer.
 */

/** A message by name; its text is ASCII, so that text and octets are the same. */
export type Sample = { readonly name: string; readonly text: string };

function withBody(startLine: string, headers: readonly string[], body: string): string {
  const type = body === "" ? [] : ["Content-Type: application/sdp"];
  return `${[startLine, ...headers, ...type, `Content-Length: ${body.length}`].join("\r\n")}\r\n\r\n${body}`;
}

const sdpOfPhone =
  "v=0\r\no=- 3724394400 3724394400 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 40000 RTP/AVP 9 8 0 101\r\n" +
  "a=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n" +
  "a=ptime:20\r\na=sendrecv\r\n";

const sdpHead =
  "v=0\r\no=- 6312754183215043210 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=extmap-allow-mixed\r\na=msid-semantic: WMS 5c1d7e90-1f0a-4c55-b0f9\r\n";

const transport: readonly string[] = [
  "c=IN IP4 198.51.100.9",
  "a=rtcp:9 IN IP4 0.0.0.0",
  ...Array.from(
    { length: 4 },
    (_, index) =>
      `a=candidate:${842163049 + index} 1 udp ${1677729535 - index} 198.51.100.9 ${51820 + index} typ srflx raddr 192.168.1.${20 + index} rport ${51820 + index} generation 0 network-id ${index + 1} network-cost 10`,
  ),
  "a=ice-ufrag:4ZcD",
  "a=ice-pwd:2/1muCWoOi3uLifh0NuRHlZL",
  "a=ice-options:trickle",
  "a=fingerprint:sha-256 3A:96:6D:57:B2:C2:C7:61:A0:46:3E:1C:97:39:D3:F7:0A:88:A0:B1:EC:03:FB:10:A5:5D:3A:37:AB:DD:02:AA",
  "a=setup:actpass",
];

function audioLines(mid: string): string[] {
  const codecs = [
    "opus/48000/2",
    "red/48000/2",
    "G722/8000",
    "PCMU/8000",
    "PCMA/8000",
    "CN/8000",
    "telephone-event/48000",
    "telephone-event/8000",
  ];
  const numbers = [111, 63, 9, 0, 8, 13, 110, 126];
  return [
    `m=audio 51820 UDP/TLS/RTP/SAVPF ${numbers.join(" ")}`,
    ...transport,
    `a=mid:${mid}`,
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "a=sendrecv",
    "a=msid:5c1d7e90-1f0a-4c55-b0f9 8a1c4b0e-audio",
    "a=rtcp-mux",
    ...numbers.map((number, index) => `a=rtpmap:${number} ${codecs[index] ?? ""}`),
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=ssrc:2890844526 cname:Wq3H8c1mTz5VxJ0p",
    "a=ssrc:2890844526 msid:5c1d7e90-1f0a-4c55-b0f9 8a1c4b0e-audio",
  ];
}

function videoLines(mid: string): string[] {
  const numbers = Array.from({ length: 18 }, (_, index) => 96 + index);
  const lines = numbers.flatMap((number, index) =>
    index % 2 === 0
      ? [
          `a=rtpmap:${number} ${["VP8", "VP9", "H264", "AV1"][(index / 2) % 4] ?? ""}/90000`,
          `a=rtcp-fb:${number} goog-remb`,
          `a=rtcp-fb:${number} transport-cc`,
          `a=rtcp-fb:${number} ccm fir`,
          `a=rtcp-fb:${number} nack`,
          `a=rtcp-fb:${number} nack pli`,
          `a=fmtp:${number} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42${index}01f`,
        ]
      : [`a=rtpmap:${number} rtx/90000`, `a=fmtp:${number} apt=${number - 1}`],
  );
  return [
    `m=video 51820 UDP/TLS/RTP/SAVPF ${numbers.join(" ")}`,
    ...transport,
    `a=mid:${mid}`,
    "a=sendrecv",
    "a=msid:5c1d7e90-1f0a-4c55-b0f9 1d0b9a77-video",
    "a=rtcp-mux",
    "a=rtcp-rsize",
    ...lines,
    "a=ssrc-group:FID 2231627014 632943048",
    "a=ssrc:2231627014 cname:Wq3H8c1mTz5VxJ0p",
    "a=ssrc:632943048 cname:Wq3H8c1mTz5VxJ0p",
  ];
}

const sdpOfAudio = `${sdpHead}a=group:BUNDLE 0\r\n${audioLines("0").join("\r\n")}\r\n`;
const sdpOfVideo = `${sdpHead}a=group:BUNDLE 0 1\r\n${[...audioLines("0"), ...videoLines("1")].join("\r\n")}\r\n`;

const browser: readonly string[] = [
  "Via: SIP/2.0/WSS 8vgt5ruscnbp.invalid;branch=z9hG4bK6421785",
  "Max-Forwards: 69",
  "To: <sip:bob@example.test>",
  'From: "Alice" <sip:alice@example.test>;tag=7hrs8ufqa1',
  "Call-ID: 5a6jl3d4bquk6gjk5d1n",
  "CSeq: 5183 INVITE",
  "Contact: <sip:alice@8vgt5ruscnbp.invalid;transport=ws;ob>",
  "Allow: INVITE,ACK,CANCEL,BYE,UPDATE,MESSAGE,OPTIONS,REFER,INFO,NOTIFY",
  "Supported: timer,ice,replaces,outbound",
  "User-Agent: JsSIP 3.13.8",
  "Session-Expires: 90",
];

const via = "Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK-524287-1---5c8d3ab0f1;rport=41822;received=198.51.100.9";
const ownVia = "Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKt1.a.0.9xk2l4m8q0w7";
const route = "sip:203.0.113.1:5060;lr;t=1.a.u0.c6336407138e.u0.c0000020713c4.5f3a9c21b7";
const dialog: readonly string[] = [
  'From: "Alice" <sip:alice@example.test>;tag=9fxced76sl',
  "To: <sip:bob@example.test>;tag=8f3a1c",
  "Call-ID: 3848276298220188511@192.0.2.7",
];

export const samples: readonly Sample[] = [
  {
    name: "REGISTER with digest",
    text: withBody(
      "REGISTER sip:example.test SIP/2.0",
      [
        via,
        "Max-Forwards: 70",
        "From: <sip:alice@example.test>;tag=a7f0c1",
        "To: <sip:alice@example.test>",
        "Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.7",
        "CSeq: 4712 REGISTER",
        'Contact: <sip:alice@192.0.2.7:5060;transport=udp>;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";reg-id=1',
        "Expires: 3600",
        "Supported: path, outbound, gruu",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, NOTIFY, REFER",
        "User-Agent: Phone 12.3/4.5.6",
        'Authorization: Digest username="alice", realm="example.test", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="sip:example.test", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, cnonce="0a4f113b", qop=auth, nc=00000001',
      ],
      "",
    ),
  },
  {
    name: "401",
    text: withBody(
      "SIP/2.0 401 Unauthorized",
      [
        via,
        "From: <sip:alice@example.test>;tag=a7f0c1",
        "To: <sip:alice@example.test>;tag=37GkEhwl6",
        "Call-ID: 1j9FpLxk3uxtm8tn@192.0.2.7",
        "CSeq: 4711 REGISTER",
        'WWW-Authenticate: Digest realm="example.test", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", algorithm=MD5, qop="auth"',
      ],
      "",
    ),
  },
  { name: "INVITE of a browser, audio", text: withBody("INVITE sip:bob@example.test SIP/2.0", browser, sdpOfAudio) },
  { name: "INVITE of a browser, video", text: withBody("INVITE sip:bob@example.test SIP/2.0", browser, sdpOfVideo) },
  {
    name: "180",
    text: withBody(
      "SIP/2.0 180 Ringing",
      [ownVia, via, `Record-Route: <${route}>`, ...dialog, "CSeq: 1 INVITE", "Contact: <sip:bob@198.51.100.77:5060>"],
      "",
    ),
  },
  {
    name: "200 to INVITE",
    text: withBody(
      "SIP/2.0 200 OK",
      [
        ownVia,
        via,
        `Record-Route: <${route}>`,
        ...dialog,
        "CSeq: 1 INVITE",
        "Contact: <sip:bob@198.51.100.77:5060;transport=udp>",
        "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE",
        "Supported: replaces, timer",
        "Server: Phone 12.3/4.5.6",
      ],
      sdpOfPhone,
    ),
  },
  {
    name: "ACK",
    text: withBody("ACK sip:bob@198.51.100.77:5060 SIP/2.0", [via, "Max-Forwards: 70", `Route: <${route}>`, ...dialog, "CSeq: 1 ACK"], ""),
  },
  {
    name: "BYE",
    text: withBody("BYE sip:bob@198.51.100.77:5060 SIP/2.0", [via, "Max-Forwards: 70", `Route: <${route}>`, ...dialog, "CSeq: 2 BYE"], ""),
  },
];
