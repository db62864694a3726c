<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Driver;

use PhaseBased\Plasm\Exception\DriverException;
use PhaseBased\Plasm\Exception\InvalidRequestException;

/**
 * JSON objects as the library and the command take and give them.
 *
 * @internal
 */
final class Json
{
    /**
     * @param array<string, mixed> $object
     * @throws InvalidRequestException when a string is not UTF-8
     */
    public static function encodeObject(array $object): string
    {
        try {
            return json_encode((object) $object, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
        } catch (\JsonException $exception) {
            throw new InvalidRequestException('the request: ' . $exception->getMessage(), 0, $exception);
        }
    }

    /**
     * @return array<string, mixed>
     * @throws DriverException
     */
    public static function decodeObject(string $json, string $from): array
    {
        $object = json_decode($json, true, 64);
        if (!is_array($object) || ($object !== [] && array_is_list($object))) {
            throw new DriverException("$from gave no JSON object: " . substr($json, 0, 200));
        }
        return $object;
    }
}
