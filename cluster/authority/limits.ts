/** The authority's own certificate: nobody has to be told of another one while a system lives. */
export const authorityDays = 3_650;
/** A certificate of a member. It is renewed after two thirds of that, so a system may stand still for ten days. */
export const memberCertificateDays = 30;
/** Certificates are good from so long before they were made: clocks of two machines differ. */
export const backdatedMs = 3_600_000;
