/* Which service a stream's bytes go to. */
#include "peer/internal.h"

void service_opened(struct peer_stream *stream) {
    switch (stream->service) {
    case SERVICE_IDENTIFY:
    case SERVICE_IDENTIFY_PUSH:
        identify_answer(stream);
        break;
    case SERVICE_CAPABILITY:
        capability_opened(stream);
        break;
    case SERVICE_KAD:
        kad_service_opened(stream);
        break;
    case SERVICE_HOP:
    case SERVICE_STOP:
        relay_service_opened(stream);
        break;
    case SERVICE_DCUTR:
        dcutr_opened(stream);
        break;
    case SERVICE_PERF:
        perf_opened(stream);
        break;
    case SERVICE_AUTONAT:
    case SERVICE_AUTONAT_BACK:
        autonat_opened(stream);
        break;
    case SERVICE_PING:
    case SERVICE_APPLICATION:
    case SERVICE_NONE:
        break;
    }
}

void service_data(struct peer_stream *stream, struct bytes data, bool fin) {
    switch (stream->service) {
    case SERVICE_IDENTIFY:
    case SERVICE_IDENTIFY_PUSH:
        identify_data(stream, data, fin);
        break;
    case SERVICE_PING:
        ping_data(stream, data, fin);
        break;
    case SERVICE_PERF:
        perf_data(stream, data, fin);
        break;
    case SERVICE_CAPABILITY:
        capability_data(stream, data, fin);
        break;
    case SERVICE_AUTONAT:
    case SERVICE_AUTONAT_BACK:
        autonat_data(stream, data, fin);
        break;
    case SERVICE_KAD:
        kad_service_data(stream, data, fin);
        break;
    case SERVICE_HOP:
    case SERVICE_STOP:
        relay_service_data(stream, data, fin);
        break;
    case SERVICE_DCUTR:
        dcutr_data(stream, data, fin);
        break;
    case SERVICE_APPLICATION:
    case SERVICE_NONE:
        break;
    }
}

void service_agreed(struct peer_stream *stream) {
    if (stream->service == SERVICE_KAD) {
        kad_service_agreed(stream);
    } else if (stream->service == SERVICE_AUTONAT_BACK) {
        autonat_agreed(stream);
    }
}

void service_ended(struct peer_stream *stream, int error) {
    switch (stream->service) {
    case SERVICE_IDENTIFY:
    case SERVICE_IDENTIFY_PUSH:
        identify_ended(stream, error);
        break;
    case SERVICE_PING:
        ping_ended(stream, error);
        break;
    case SERVICE_PERF:
        perf_ended(stream, error);
        break;
    case SERVICE_CAPABILITY:
        capability_ended(stream);
        break;
    case SERVICE_AUTONAT:
    case SERVICE_AUTONAT_BACK:
        autonat_ended(stream, error);
        break;
    case SERVICE_KAD:
        kad_service_ended(stream, error);
        break;
    case SERVICE_HOP:
    case SERVICE_STOP:
        relay_service_ended(stream, error);
        break;
    case SERVICE_DCUTR:
        dcutr_ended(stream);
        break;
    case SERVICE_APPLICATION:
    case SERVICE_NONE:
        break;
    }
}
