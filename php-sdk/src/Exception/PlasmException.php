<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * Everything this library throws. The subclasses are split by what the caller would do.
 */
abstract class PlasmException extends \RuntimeException
{
    /** Which exception stands for which name of plasm.h's `enum plasm_error`. */
    private const CLASSES = [
        'truncated' => MalformedException::class,
        'malformed' => MalformedException::class,
        'too_large' => InvalidRequestException::class,
        'no_memory' => DriverException::class,
        'invalid' => InvalidRequestException::class,
        'unsupported' => RefusedException::class,
        'not_found' => NotFoundException::class,
        'conflict' => RefusedException::class,
        'limit' => RefusedException::class,
        'timeout' => TimeoutException::class,
        'refused' => RefusedException::class,
        'unreachable' => UnreachableException::class,
        'closed' => UnreachableException::class,
        'reset' => UnreachableException::class,
        'untrusted' => UntrustedException::class,
        'expired' => RefusedException::class,
        'cancelled' => CancelledException::class,
        'io' => DriverException::class,
        'state' => StateException::class,
        'failed' => DriverException::class,
    ];

    private string $errorName = 'failed';

    /**
     * The library's name of the error, such as "unreachable" (plasm.h, `plasm_error_name`).
     */
    public function errorName(): string
    {
        return $this->errorName;
    }

    /**
     * The exception for an error of libplasm or the plasm command.
     */
    public static function named(string $errorName, string $message): self
    {
        $class = self::CLASSES[$errorName] ?? DriverException::class;
        $exception = new $class($message);
        $exception->errorName = $errorName;
        return $exception;
    }
}
