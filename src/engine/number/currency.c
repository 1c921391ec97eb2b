/*
** currency.c - see currency.h.
** SPDX-License-Identifier: MIT
*/
#include "engine/number/currency.h"

#include <string.h>

/*
** List one of ISO 4217 as of January 2026, by exponent, and the codes
** withdrawn since 2023, which older transactions have. Codes without an
** exponent (metals, XDR, XXX and so on) are left out.
*/
static const char *const codes[] = {
    "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF ",
    "",
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD "
    "BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP "
    "DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF "
    "IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP "
    "SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD "
    "USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG "
    "ANG BGN HRK SLL ZWL ",
    "BHD IQD JOD KWD LYD OMR TND ",
    "CLF UYW ",
};

int uq_currency_exponent(const char *code, size_t len) {
  if (len != 3)
    return -1;
  for (int exponent = 0; exponent < (int)(sizeof codes / sizeof *codes);
       exponent++) {
    for (const char *p = codes[exponent]; *p != '\0'; p += 4) {
      if (memcmp(p, code, 3) == 0)
        return exponent;
    }
  }
  return -1;
}
