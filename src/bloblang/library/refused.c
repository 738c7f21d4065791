/* Names of the reference that are not part of kspool: refused when a mapping is loaded, each with its reason. */
#include "bloblang/language/function.h"

/* clang-format off */
#define REFUSED(name_, kind_, summary_) {.name = name_, .kind = kind_, .status = HIDDEN, .summary = summary_}
#define GEOIP "it needs a MaxMind database"

const struct bloblang_row rows_refused[] = {
	REFUSED("geoip_anonymous_ip", METHOD, GEOIP),
	REFUSED("geoip_asn", METHOD, GEOIP),
	REFUSED("geoip_city", METHOD, GEOIP),
	REFUSED("geoip_connection_type", METHOD, GEOIP),
	REFUSED("geoip_country", METHOD, GEOIP),
	REFUSED("geoip_domain", METHOD, GEOIP),
	REFUSED("geoip_enterprise", METHOD, GEOIP),
	REFUSED("geoip_isp", METHOD, GEOIP),
	REFUSED("parse_parquet", METHOD, "Parquet files are not read here"),
	REFUSED("vector", METHOD, "there is no SQL output to give a vector to"),
	REFUSED("fake", FUNCTION, "invented data has no place in a spool of real messages"),
	{.name = NULL},
};
/* clang-format on */
