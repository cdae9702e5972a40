/** What a service of systemd starts. */
export type ServiceUnit = {
  /** Program and words, each as it is: blanks and percent signs are written as systemd wants them. */
  readonly command: readonly string[];
  /** As systemd wants it already, behind the command. */
  readonly more?: string;
  /** Lines for whoever reads the file, each with its `#`. */
  readonly remarks: readonly string[];
  /** A file of environment variables that may be missing. */
  readonly environmentFile?: string;
};

/** The main loop says that it goes round three times in this. */
export const watchdogSeconds = 30;

/** Runs `tandem up` under systemd, with what it needs and nothing more. */
export function unitOf({ command, more, remarks, environmentFile }: ServiceUnit): string {
  const words = [...command.map(unitWord), ...(more === undefined ? [] : [more])];
  return `${remarks.join("\n")}
[Unit]
Description=Tandem, a SIP registrar and proxy
After=network-online.target
Wants=network-online.target

[Service]
# It says by systemd-notify that it is ready, and that its main loop goes round. One that hangs is killed, and started again.
Type=notify
NotifyAccess=all
WatchdogSec=${watchdogSeconds}
TimeoutStartSec=120
${environmentFile === undefined ? "" : `EnvironmentFile=-${environmentFile}\n`}ExecStart=${words.join(" ")}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=1
# Stopping waits until what was answered is on the disk: three seconds at most.
TimeoutStopSec=10
KillMode=mixed
DynamicUser=yes
StateDirectory=tandem
StateDirectoryMode=0700
# Ports below 1024; and gateways go before the cells when there is too much to do.
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_SYS_NICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SYS_NICE
NoNewPrivileges=yes
LimitNOFILE=65536
ProtectHome=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK

[Install]
WantedBy=multi-user.target
`;
}

/** A word of a command line in a unit (systemd.service, "Command lines"). */
export function unitWord(word: string): string {
  const said = word.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w@%+=:,./$[\]-]+$/.test(said) ? said : `"${said.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
