import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decodeCsv } from "../../cli/csv.ts";
import { parseSubscribersCsv } from "../../cli/subscriber-files.ts";
import { subscriberRecordOf } from "../../cli/subscribers.ts";

describe("parseSubscribersCsv", () => {
  it("takes columns in any order, quotes, empty lines, either line end, a byte order mark", () => {
    const text = '\uFEFFname,Password,AOR\r\nA,p1,alice\r\n\r\n"B, ""the""\nbig","p,2",sip:bob@example.test\nC,p3,carol';
    expect(parseSubscribersCsv(text, "example.test")).toEqual({
      subscribers: [
        subscriberRecordOf("alice@example.test", "p1"),
        subscriberRecordOf("bob@example.test", "p,2"),
        subscriberRecordOf("carol@example.test", "p3"),
      ],
      md5Only: 0,
      others: new Map(),
    });
  });

  it.each([
    ["", "line 1: the header must name the columns aor and password"],
    ["alice,secret\n", "line 1: the header must name the columns aor and password"],
    ["aor,password\nalice\n", "line 2: has 1 columns, the header has 2 (nothing was imported)"],
    ["aor,password\nalice,\n", "line 2: alice@example.test: the password is empty (nothing was imported)"],
    ['aor,password\n"a\nb",x\nalice,p\nalice,q', 'line 2: a\nb: "a\\nb" is no user of a SIP address'],
    ["aor,password\nalice,p\n\nsip:alice@example.test,q", "line 4: alice@example.test stands in line 2 already (nothing was imported)"],
    ['aor,password\nalice,"p', "line 2: a quoted field does not end"],
    ['aor,password\nalice,"p"q', "line 2: text after a quoted field"],
    ["aor,password\n,a\n,b\n,c\n,d", "; and 1 more (nothing was imported)"],
  ])("refuses %j as a whole", (text, line) => {
    expect(() => parseSubscribersCsv(text, "example.test")).toThrow(line);
  });

  it("names the line of an octet that is not UTF-8, as Latin-1 has them, and takes UTF-8 with its mark", () => {
    const latin1 = Buffer.from("aor,password\nalice,p\nm\u00fcller,gr\u00fcn\n", "latin1");
    expect(() => decodeCsv(latin1)).toThrow('line 3: is not UTF-8 (Latin-1? it would be "müller,grün"): save the file as UTF-8');
    expect(() => decodeCsv(Buffer.from("\ufeffaor,password\n", "utf16le"))).toThrow("is no text in UTF-8");
    const utf8 = Buffer.from("\ufeffaor,password\nalice,gr\u00fcn\n");
    expect(parseSubscribersCsv(decodeCsv(utf8), "example.test")).toMatchObject({
      subscribers: [subscriberRecordOf("alice@example.test", "grün")],
    });
  });

  it("takes 50 000 lines in a moment", () => {
    const lines = Array.from({ length: 50_000 }, (_, index) => `user${index},p${index}`);
    expect(parseSubscribersCsv(`aor,password\n${lines.join("\n")}`, "example.test")).toHaveProperty("subscribers.length", 50_000);
  });
});

describe("parseSubscribersCsv of Kamailio's subscriber table", () => {
  const [alice, bob] = [subscriberRecordOf("alice@example.test", "p1"), subscriberRecordOf("bob@example.test", "p2")];

  it("keeps the hashes of whoever has no password there, as mysql --batch writes them", () => {
    const text = [
      "id\tusername\tdomain\tpassword\tha1\tha1b",
      `1\talice\texample.test\t\t${alice.ha1Md5}\t${alice.ha1bMd5}`,
      `2\tbob\texample.test\tp2\t${bob.ha1Md5}\tNULL`,
      "",
    ].join("\n");
    expect(parseSubscribersCsv(text, "example.test")).toEqual({
      subscribers: [{ ...alice, ha1Sha256: "", ha1bSha256: "" }, bob],
      md5Only: 1,
      others: new Map(),
    });
  });

  it("takes the hashes of OpenSIPS, and semicolons", () => {
    const text = `username;domain;password;ha1;ha1_sha256\nalice;example.test;;${alice.ha1Md5.toUpperCase()};${alice.ha1Sha256}\n`;
    expect(parseSubscribersCsv(text, "example.test")).toMatchObject({
      subscribers: [{ ...alice, ha1bMd5: "", ha1bSha256: "" }],
      md5Only: 0,
    });
  });

  it("takes further domains of the system, and no others", () => {
    const text = "username,domain,password\nalice,example.org,p\n";
    expect(parseSubscribersCsv(text, "example.test", ["example.org"]).subscribers).toMatchObject([{ aor: "alice@example.org" }]);
    expect(() => parseSubscribersCsv(text, "example.test")).toThrow("line 2: alice@example.org: the domain of this system is example.test");
  });

  it.each([
    [`alice,,,${md5("x")}`, "line 2: alice@example.test: its domain is empty, so nobody knows what its ha1 is good for"],
    [`alice,Example.Test,,${md5("x")}`, "line 2: alice@example.test: its ha1 is good for Example.Test in these letters only"],
    [`alice,example.test,p1,${md5("x")}`, "line 2: alice@example.test: the password and its ha1 do not belong together"],
    ["alice,example.test,,secret", "line 2: alice@example.test: ha1 is not 32 hex digits"],
    ["alice,example.test,\\N,\\N", "line 2: alice@example.test: the password is empty"],
    ["alice,example.test,null,", "line 2: alice@example.test: the password is empty"],
    ["alice,example.test,   ,", "line 2: alice@example.test: the password is empty"],
    ["alice,example.test,NULL,NULL", "line 2: alice@example.test: the password is empty"],
  ])("refuses %s", (row, reason) => {
    expect(() => parseSubscribersCsv(`username,domain,password,ha1\n${row}\n`, "example.test")).toThrow(reason);
  });

  it("takes a password without a domain, for the domain of the system", () => {
    expect(parseSubscribersCsv("username,domain,password\nalice,,p1\n", "example.test").subscribers).toEqual([alice]);
  });
});

describe("parseSubscribersCsv of FreePBX's extensions", () => {
  it("takes the secret and not the user's password, and leaves out what is no SIP phone", () => {
    const text = [
      "extension,password,name,voicemail,id,tech,dial,devicetype,secret",
      '100,,"Front, desk",novm,100,pjsip,PJSIP/100,fixed,s1',
      "101,9999,Old,novm,101,sip,SIP/101,fixed,s2",
      "102,,Fax,novm,102,iax2,IAX2/102,fixed,s3",
      "103,,Nobody,novm,103,virtual,,,",
      "104,,Nobody,novm,104,virtual,,,",
    ].join("\r\n");
    expect(parseSubscribersCsv(text, "example.test")).toEqual({
      subscribers: [subscriberRecordOf("100@example.test", "s1"), subscriberRecordOf("101@example.test", "s2")],
      md5Only: 0,
      others: new Map([
        ["iax2", 1],
        ["virtual", 2],
      ]),
    });
  });

  it.each(["NULL", "null", "\\N", "", "  "])("takes %j for no secret at all, and looks in the other column", (nothing) => {
    const [head, row] = ["extension,tech,secret,devinfo_secret", `100,pjsip,${nothing},`];
    expect(() => parseSubscribersCsv(`${head}\n${row}\n`, "example.test")).toThrow("line 2: 100@example.test: the secret is empty");
    expect(parseSubscribersCsv(`${head}\n${row}real\n`, "example.test").subscribers).toEqual([
      subscriberRecordOf("100@example.test", "real"),
    ]);
  });

  it("reads the older export as well, and names whoever has no secret", () => {
    const text = "action,extension,tech,devinfo_secret\nadd,100,sip,s1\nadd,101,sip,\n";
    expect(() => parseSubscribersCsv(text, "example.test")).toThrow("line 3: 101@example.test: the secret is empty (nothing was imported)");
    expect(parseSubscribersCsv(text.replace("101,sip,", "101,sip,s2"), "example.test").subscribers).toHaveLength(2);
  });
});

function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
